import type { ErrorCode } from './error.ts';

/**
 * How much a refusal tells the researcher. `code`: nothing beside the coarse code. `rules`: what it means, what a person
 * said, and which rules failed by their id and their `@explain`. `full`: besides, each clause that was not met, and the
 * values it was held against. No level names a member of a list, or a place of the station.
 */
export const EXPLANATION_LEVELS = ['full', 'rules', 'code'] as const;
export type ExplanationLevel = (typeof EXPLANATION_LEVELS)[number];

/**
 * What a code means for the researcher whose train it ended, and what he can do about it. Fixed words: they hold nothing
 * of any station, so a station that tells its code alone has told this too.
 */
export type Refusal = { readonly text: string; readonly next: string };

const OWN_TROUBLE: Refusal = {
  text: 'something is wrong at the station itself; its admin can see what',
  next: "nothing is wrong with the train: tell the station's admin its id, and submit it again later",
};
const DAMAGED: Refusal = {
  text: 'what arrived at the station is not what you signed, or cannot be read there',
  next: 'submit the train again; if it happens twice, show both receipts to an auditor',
};
const STRANGER: Refusal = {
  text: "somebody who signed for this train is not known, in that role, to the station's network file",
  next: 'its network file may be older than your membership: ask its admin to import the current one',
};
const OLD_NETWORK: Refusal = {
  text: 'the station has no current network file, so it runs and releases nothing',
  next: "nothing is wrong with the train: ask the station's admin or the network authority for the current file",
};
const TOO_LATE: Refusal = {
  text: 'the time given for this train was over before it had ended',
  next: 'submit the train directory again; --expires-days gives it longer',
};
const GATE: Refusal = {
  text: 'the gate of the station did not let the result out',
  next: 'pht train test shows what the gate makes of a result on data like theirs',
};
const IMAGE: Refusal = {
  text: 'the image is not the one that was signed, or holds something that no station loads',
  next: 'pack and submit the train again; pht train test says what is wrong with its image',
};

const REFUSALS: Partial<Record<ErrorCode, Refusal>> = {
  'statement.malformed': DAMAGED,
  'statement.type': DAMAGED,
  'signature.invalid': DAMAGED,
  'manifest.invalid': DAMAGED,
  'order.invalid': DAMAGED,
  'order.audience': DAMAGED,
  'input.malformed': DAMAGED,
  'input.too-large': DAMAGED,
  'envelope.invalid': DAMAGED,
  'network.mismatch': {
    text: 'the train belongs to another network than the station',
    next: 'compare the network ids: pht network show here, and the id that the authority reads out',
  },
  'signer.unknown': STRANGER,
  'signer.revoked': {
    text: 'somebody who signed for this train is no longer a member of the network, or signed with a key that was replaced',
    next: 'ask the network authority; import the current network file and sign the train anew by submitting its directory',
  },
  'recipient.unknown': {
    text: "a recipient of the results is not a member with that key in the station's network file",
    next: 'check the recipients of the train, or ask the admin to import the current network file',
  },
  'network.expired': OLD_NETWORK,
  'network.stale': OLD_NETWORK,
  'network.behind': OLD_NETWORK,
  'network.invalid': OLD_NETWORK,
  'network.rollback': OLD_NETWORK,
  'network.forked': {
    text: 'the station was shown two network files of one version, and trusts neither',
    next: 'tell the network authority; nothing is wrong with the train',
  },
  'manifest.expired': TOO_LATE,
  'order.expired': TOO_LATE,
  'deadline.passed': TOO_LATE,
  'clearance.expired': {
    text: 'the approval of the train ran out before it had run',
    next: "submit the train again, and ask the station's admin to approve it when it can run",
  },
  'manifest.too-long': {
    text: 'the train is valid for longer than the station accepts',
    next: 'submit it again with a smaller --expires-days',
  },
  replayed: {
    text: 'this visit of the train has been here before, or is under way here by another order',
    next: "the station took another order of this very train; ask the dispatcher's operator for that receipt, which this home can still open",
  },
  'stale.epoch': {
    text: 'a newer order for this visit of the train replaced this one',
    next: "ask the dispatcher's operator for the receipt of the newer order",
  },
  'image.mismatch': IMAGE,
  'image.unsafe': IMAGE,
  'image.missing': {
    text: 'a part of the image could not be had from the dispatcher',
    next: 'submit the train again; what has arrived already is not sent twice',
  },
  'policy.denied': {
    text: "the station's policy does not permit the train",
    next: 'pht train plan asks before you send; what the policy wants is for the station to say: ask its admin',
  },
  'clearance.rejected': {
    text: 'a person at the station rejected the train',
    next: "talk to the station's admin before you send it again",
  },
  'clearance.withdrawn': {
    text: 'the station took back the permission that it had given to the train',
    next: "talk to the station's admin before you send it again",
  },
  'disclosure.withheld': GATE,
  'disclosure.held': {
    text: 'the rules of the station cannot decide on this result, so it stays there',
    next: GATE.next,
  },
  'dataset.unknown': {
    text: 'the station offers no dataset of this name',
    next: 'pht network datasets lists what each station offers',
  },
  'dataset.unreadable': {
    ...OWN_TROUBLE,
    next: "tell the station's admin that its dataset could not be read, and submit the train again later",
  },
  'dataset.changed': {
    text: 'the dataset changed while the train was running, so its result counts for neither state of it',
    next: 'submit the train again; the files were written to while it ran',
  },
  'run.failed': {
    text: 'the train ended without a result that could be taken',
    next: 'no station tells in which way a train failed, since that can depend on the data; try it with pht train test on data like theirs',
  },
  cancelled: { text: 'you took the train back', next: 'submit its directory again if that was a mistake' },
  'quota.exceeded': {
    text: 'the train asks for more than the station gives to one train',
    next: 'ask for less under limits: in train.yaml',
  },
  'witness.unreachable': {
    text: "the station's witnesses could not be reached before the order expired; the result never left the station",
    next: "nothing is wrong with the train: the station's witnesses could not be reached before the order expired; submit it again",
  },
  'proof.invalid': {
    text: 'what was shown for this station stands in no ledger',
    next: "show this to an auditor, who can check that ledger as a whole with pht audit verify; ask the dispatcher's operator for the missing proof",
  },
  'timed-out': {
    text: 'nothing was heard of this station before the train expired; this is the word of the dispatcher alone',
    next: 'ask the station whether it is running, and submit the train again',
  },
};

/** @param code any code: one that is not a researcher's to mend is the station's own trouble */
export function refusalOf(code: ErrorCode): Refusal {
  return REFUSALS[code] ?? OWN_TROUBLE;
}
