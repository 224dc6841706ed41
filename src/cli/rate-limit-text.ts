// A limit in words, for both sides of explain.
import type { BodyLimitConfig } from '../config/config.ts';
import { durationText } from '../lib/duration-text.ts';
import type { BucketSize } from '../lib/token-bucket.ts';

export function bucketText({ requests, perMs, burst }: BucketSize): string {
  return `${requests} in ${durationText(perMs)}${burst === requests ? '' : `, ${burst} at once`}`;
}

export function bodyLimitText(limit: BodyLimitConfig): string {
  const { keys, values, maxBodyBytes } = limit;
  const others = Object.entries(values).map(([value, size]) => `; ${value}: ${bucketText(size)}`);
  return `${bucketText(limit)} for each value of ${keys.join('.')} in the JSON body${others.join('')}. Counted by Envoy as generated; bodies above ${maxBodyBytes} bytes are answered 413`;
}
