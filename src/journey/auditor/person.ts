/** Who stands behind a commitment: a member's id, nobody any more, or somebody the station has not named. */
export type Person = { is: 'named'; id: string } | { is: 'erased' } | { is: 'undisclosed' };
