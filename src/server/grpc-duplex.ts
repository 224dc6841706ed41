// Bidirectional streams of messages on our own HTTP/2.
import type { Handler } from '../http2/service.ts';
import type { Stream } from '../http2/stream.ts';
import { GrpcError, GrpcStatus, type GrpcStatusCode } from './front.ts';
import { HEAD, refuse, trailers } from './grpc-answer.ts';
import type { CallDeps } from './grpc-unary.ts';
import { frameMessage } from './grpc-wire.ts';
import { MessageReader } from './message-reader.ts';
import type { MessageStream, StreamMethod } from './streams.ts';

export class DuplexCalls implements Handler {
  readonly #method: StreamMethod;
  readonly #deps: CallDeps;
  readonly #open: Set<DuplexCall>;

  /** @param open every stream that is open, for the one who ends them all. */
  constructor(method: StreamMethod, deps: CallDeps, open: Set<DuplexCall>) {
    this.#method = method;
    this.#deps = deps;
    this.#open = open;
  }

  open(stream: Stream, ended: boolean): void {
    const call = new DuplexCall(stream, this.#method, this.#deps, () => this.#open.delete(call));
    stream.context = call;
    this.#open.add(call);
    call.begin();
    if (ended) call.end();
  }

  data(stream: Stream, chunk: Buffer, start: number, end: number, ended: boolean): void {
    const call = stream.context as DuplexCall;
    call.receive(chunk, start, end);
    if (ended) call.end();
  }

  cancelled(stream: Stream): boolean {
    return (stream.context as DuplexCall).cancelled();
  }
}

export class DuplexCall implements MessageStream<unknown, unknown> {
  readonly #stream: Stream;
  readonly #method: StreamMethod;
  readonly #deps: CallDeps;
  readonly #reader: MessageReader;
  readonly #onClosed: () => void;
  readonly #endListeners: (() => void)[] = [];
  #onMessage = (_message: unknown): void => {};
  #headSent = false;
  #ended = false;
  /** Messages that came and have had no answer yet. */
  #unanswered = 0;

  constructor(stream: Stream, method: StreamMethod, deps: CallDeps, onClosed: () => void) {
    this.#stream = stream;
    this.#method = method;
    this.#deps = deps;
    this.#reader = new MessageReader(deps.maxMessageBytes, deps.budget);
    this.#onClosed = onClosed;
  }

  begin(): void {
    this.#guarded(() => this.#method.handle(this));
  }

  receive(chunk: Buffer, start: number, end: number): void {
    if (this.#ended) return;
    try {
      this.#reader.push(chunk, start, end);
      for (let bytes = this.#reader.next(); bytes !== undefined && !this.#ended; ) {
        this.#deliver(bytes);
        bytes = this.#ended ? undefined : this.#reader.next();
      }
    } catch (error) {
      if (!(error instanceof GrpcError)) throw error;
      this.end(error.code, error.message);
    }
  }

  send(message: unknown): void {
    if (this.#ended) return;
    if (!this.#headSent) {
      this.#headSent = true;
      this.#stream.sendHead(HEAD);
    }
    this.#unanswered = 0;
    this.#stream.sendData(frameMessage(this.#method.encode(message)));
  }

  end(code: GrpcStatusCode = GrpcStatus.OK, message = ''): void {
    if (!this.#over()) return;
    if (this.#headSent) this.#stream.end(trailers(code, message));
    else refuse(this.#stream, code, message);
  }

  onMessage(listener: (message: unknown) => void): void {
    this.#onMessage = listener;
  }

  onEnd(listener: () => void): void {
    this.#endListeners.push(listener);
  }

  /** Returns whether everything that came had its answer: Envoy resets every stream of ext_proc when it is done with it. */
  cancelled(): boolean {
    this.#over();
    return this.#unanswered === 0;
  }

  #deliver(bytes: Uint8Array): void {
    this.#unanswered++;
    let message: unknown;
    try {
      message = this.#method.decode(bytes);
    } catch {
      this.#deps.observer.peerFault(this.#deps.name, 'malformed_message');
      return this.end(GrpcStatus.INVALID_ARGUMENT, 'malformed message');
    }
    this.#guarded(() => this.#onMessage(message));
  }

  #guarded(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#deps.observer.unexpected(this.#deps.name, error);
      this.end(GrpcStatus.INTERNAL, 'internal error');
    }
  }

  #over(): boolean {
    if (this.#ended) return false;
    this.#ended = true;
    this.#reader.release();
    this.#onClosed();
    for (const listener of this.#endListeners) listener();
    return true;
  }
}
