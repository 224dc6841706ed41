// A policy table by exact host and path prefix, enough for doors that only ask it.

import { compileInjection } from '../../src/policy/injection.ts';
import type { Policy, PolicyTable } from '../../src/policy/policy.ts';
import { namesOf } from '../../src/policy/subject-headers.ts';

export interface PolicyWish {
  readonly name: string;
  readonly host: string;
  readonly path?: string;
  readonly method?: string;
  readonly source?: string;
  readonly prefix?: string;
  readonly healOn?: Policy['healOn'];
  readonly plaintext?: boolean;
  readonly proof?: Policy['proof'];
  readonly subject?: Policy['subject'];
}

export function fakePolicies(wishes: readonly PolicyWish[]): PolicyTable {
  const rows = wishes.map((wish, index) => {
    const source = wish.source ?? wish.name;
    const prefix = wish.prefix ?? 'Bearer ';
    const policy: Policy = {
      index,
      name: wish.name,
      denies: undefined,
      source,
      injection: compileInjection({
        source,
        headers: [{ name: 'authorization', prefix, basic: undefined }],
        query: undefined,
      }),
      subject: wish.subject,
      removes: [],
      proof: wish.proof,
      plaintext: wish.plaintext ?? false,
      onFailure: 'deny',
      rateLimit: undefined,
      rollout: undefined,
      healOn: wish.healOn ?? '401',
      remembered: wish.healOn !== 'off',
      instead: undefined,
    };
    return { wish, policy };
  });
  return {
    policies: rows.map((row) => row.policy),
    unmatched: 'pass',
    readHeaders: [...new Set(wishes.flatMap(({ subject }) => namesOf(subject)))],
    byName: (name) => rows.find((row) => row.policy.name === name)?.policy,
    match: (host, method, path) =>
      rows.find(
        ({ wish }) =>
          wish.host === host && (wish.method ?? method) === method && path.startsWith(wish.path ?? '/'),
      )?.policy,
    wouldDeny: undefined,
    coversHost: (policy, host) => rows[policy.index]?.wish.host === host,
  };
}
