// Changes of state as edits of the file's text: only the words of states are replaced, comments and layout stay. Pure.
import { KEY_STATES, type KeyState, type RingKey } from './ring.ts';

export type KeyVerb = 'activate' | 'suspend' | 'revoke';

/** The change is not allowed; `message` says why and what to do. */
export class EditFault extends Error {
  override readonly name = 'EditFault';
}

export interface StateChange {
  readonly key: RingKey;
  readonly to: KeyState;
}

/**
 * activate goes one step: generated or suspended → activated, activated → in_use, where the key in use until then is
 * activated beside it and may serve until its end. Throws EditFault.
 */
export function planChanges(
  ring: readonly RingKey[],
  verb: KeyVerb,
  id: string,
  now: number,
): readonly StateChange[] {
  const key = ring.find((candidate) => candidate.id === id);
  if (key === undefined)
    throw new EditFault(`no key has the id ${id}; there are ${ring.map((k) => k.id).join(', ')}`);
  if (key.state === 'revoked') throw new EditFault(`${id} is revoked: that is for good; take a new key`);
  if (verb === 'revoke') return [{ key, to: 'revoked' }];
  if (verb === 'suspend') {
    if (key.state === 'suspended') throw new EditFault(`${id} is suspended already`);
    return [{ key, to: 'suspended' }];
  }
  if (key.state === 'in_use') throw new EditFault(`${id} is in use already`);
  if (key.expiresAt <= now) throw new EditFault(`${id} has expired: take a new key`);
  if (key.state !== 'activated') return [{ key, to: 'activated' }];
  const before = ring.find(({ state }) => state === 'in_use');
  return [
    { key, to: 'in_use' },
    ...(before === undefined ? [] : [{ key: before, to: 'activated' as const }]),
  ];
}

/** `text` is the ring's own. Quotes around a word of state stay. */
export function applyChanges(text: string, changes: readonly StateChange[]): string {
  let edited = text;
  // From the end, so that the places before stay where they are.
  for (const { key, to } of [...changes].sort((a, b) => b.key.stateAt[0] - a.key.stateAt[0])) {
    const [from, end] = key.stateAt;
    const word = text.slice(from, end);
    const replaced = word.replace(new RegExp(KEY_STATES.join('|')), to);
    edited = edited.slice(0, from) + replaced + edited.slice(end);
  }
  return edited;
}
