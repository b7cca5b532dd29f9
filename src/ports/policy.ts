/** The station's own policy over verified facts. It decides; it never acts. */
export interface Policy {
  /** Of the exact policy text in force: goes into every decision entry and every case file. */
  readonly digest: string;
  /** Exactly the text that `digest` is of. */
  readonly text: string;
  /** Never throws, and gives the same answer to the same facts, so that an auditor can replay it. */
  decide(facts: PolicyFacts): PolicyAnswer;
}

/** Every fact was verified before: signatures, membership, image, expiry. Sizes in bytes, times in milliseconds. */
export type PolicyFacts = {
  nowMs: number;
  station: string;
  /** `lists`: those of this station's own `lists.yaml` that name the member. */
  researcher: { id: string; organisation: string; lists: string[] };
  dispatcher: string;
  dataset: string;
  train: {
    manifestDigest: string;
    imageConfigDigest: string;
    /** Those of this station's own lists that name the image. */
    imageLists: string[];
    /** A person approved a train with this very image here before, and nobody has withdrawn that. */
    imageApprovedHere: boolean;
    title: string;
    purpose: string;
    duo: string[];
    outputKinds: string[];
    minCellCount: number;
    stops: string[];
    recipients: string[];
    expiresMs: number;
    lifetimeMs: number;
    memoryBytesMax: number;
    cpuMillis: number;
    pidsMax: number;
    wallMsMax: number;
    outputBytesMax: number;
  };
};

/**
 * `rules` are the ids of the rules that decided, none for a default deny. `reasons` are for people: those rules, or each
 * clause that was not met, in words. `approvals`: how many persons must approve, 0 unless the verdict is `ask`. `error`
 * says that something could not be evaluated, which always denies.
 */
export type PolicyAnswer = {
  verdict: 'permit' | 'ask' | 'deny';
  rules: string[];
  reasons: string[];
  approvals: 0 | 1 | 2;
  error: boolean;
};
