// One call of a token source, as the store makes it.
import assert from 'node:assert/strict';
import type { IssuedToken, IssueRequest, TokenSource } from '../../src/credential/credential.ts';
import { CredentialError } from '../../src/lib/errors.ts';

export function issueRequest(request: Partial<IssueRequest> = {}): IssueRequest {
  return {
    signal: AbortSignal.timeout(30_000),
    neededBy: undefined,
    refused: undefined,
    subject: undefined,
    ...request,
  };
}

/** Closes the source afterwards. */
export async function issued(source: TokenSource, request?: Partial<IssueRequest>): Promise<IssuedToken> {
  try {
    return await source.issue(issueRequest(request));
  } finally {
    await source.close?.();
  }
}

/** What the call rejects with; anything but a CredentialError fails the test. */
export async function issueFailure(
  source: TokenSource,
  request?: Partial<IssueRequest>,
): Promise<CredentialError> {
  try {
    await issued(source, request);
  } catch (error) {
    assert.ok(error instanceof CredentialError, String(error));
    return error;
  }
  assert.fail('no failure');
}
