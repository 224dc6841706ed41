// One end of a message stream: the test plays the peer.
import type { MessageStream } from '../../src/server/streams.ts';

export class FakeStream<Req, Res> implements MessageStream<Req, Res> {
  readonly sent: Res[] = [];
  ended: { readonly code: number; readonly message: string } | undefined;
  #onMessage: (message: Req) => void = () => {};
  readonly #onEnd: (() => void)[] = [];

  send(message: Res): void {
    if (!this.ended) this.sent.push(message);
  }
  end(code = 0, message = ''): void {
    if (this.ended) return;
    this.ended = { code, message };
    for (const listener of this.#onEnd) listener();
  }
  onMessage(listener: (message: Req) => void): void {
    this.#onMessage = listener;
  }
  onEnd(listener: () => void): void {
    this.#onEnd.push(listener);
  }

  /** The peer sends. */
  receive(message: Req): void {
    if (!this.ended) this.#onMessage(message);
  }
  /** What was sent since the last take. */
  take(): Res[] {
    return this.sent.splice(0);
  }
}
