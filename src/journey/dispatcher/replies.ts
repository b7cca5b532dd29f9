import {
  create,
  type DescMessage,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { Desk } from './desk.ts';

/** Idempotency: the same key asks the same question, and gets the same answer (protocol, section 5). */

export type Question<I extends DescMessage, O extends DescMessage> = {
  member: string;
  method: string;
  key: string;
  input: I;
  request: MessageShape<I>;
  output: O;
};

/**
 * Answers once. Whatever `answer` writes and the reply itself are one transaction, so a crash leaves both or neither;
 * an error is not kept, since asking again may be answered otherwise.
 *
 * @throws PhtError `conflict` when the key belongs to another request
 */
export function once<I extends DescMessage, O extends DescMessage>(
  desk: Desk,
  question: Question<I, O>,
  answer: () => MessageInitShape<O>,
): MessageShape<O> {
  const { member, method, key, input, request, output } = question;
  assertKey(key);
  const requestDigest = digestOf(toBinary(input, request));
  return desk.store.atomically(() => {
    const stored = desk.store.replies.find(member, method, key);
    if (stored !== null) {
      if (stored.requestDigest === requestDigest) return fromBinary(output, stored.response);
      throw new PhtError('conflict', 'this idempotency key belongs to another request', {
        hint: 'use a new key for each new request',
      });
    }
    const response = create(output, answer());
    const bytes = toBinary(output, response as MessageShape<O> & Message);
    desk.store.replies.put(member, method, key, { requestDigest, response: bytes, atMs: desk.clock.nowMs() });
    return response;
  });
}

function assertKey(key: string): void {
  if (/^[\x21-\x7e]{8,128}$/.test(key)) return;
  throw new PhtError('input.malformed', 'an idempotency key has 8 to 128 visible ASCII characters');
}
