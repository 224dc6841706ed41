// Which secrets Envoy may ask for by the policies, and what each is made of.
import type { InjectedHeader } from '../../policy/injection.ts';
import type { PolicyTable } from '../../policy/policy.ts';
import { shareSecretName } from '../../policy/rollout.ts';

/** What a secret is made of: a credential, or whether this pod is in a policy's share. */
export type MadeOf = {
  readonly source: string;
  /** The source by whose name listeners allow it. */
  readonly allowedAs: string;
} & ({ readonly header: InjectedHeader } | { readonly share: 'in' | '' });

/**
 * Headers that share a name share source and form, so any stands for all. A subject's credential is no secret of Envoy's:
 * it would go on everybody's requests.
 */
export function servedSecrets({ policies }: Pick<PolicyTable, 'policies'>): ReadonlyMap<string, MadeOf> {
  return new Map(
    policies
      // One that needs a proof is worth nothing without it.
      .filter(
        ({ denies, subject, proof }) => denies === undefined && subject === undefined && proof === undefined,
      )
      .flatMap(({ name, source, injection, rollout }): [string, MadeOf][] => {
        const of = { source, allowedAs: source };
        const share = rollout?.withheld(undefined) === undefined ? 'in' : '';
        return [
          [shareSecretName(name), { ...of, share }],
          ...injection.headers.map((header): [string, MadeOf] => [header.secretName, { ...of, header }]),
        ];
      }),
  );
}

export function isSame(a: MadeOf, b: MadeOf): boolean {
  if ('share' in a) return 'share' in b && a.share === b.share;
  return !('share' in b) && a.source === b.source && a.header.secretName === b.header.secretName;
}

/** Whether a listener that may serve these `sources` serves it; undefined = all. */
export function isServed(made: MadeOf | undefined, sources: ReadonlySet<string> | undefined): boolean {
  return made !== undefined && (sources === undefined || sources.has(made.allowedAs));
}
