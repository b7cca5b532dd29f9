/**
 * What a station's policy can speak about. Every attribute is always present, so a policy needs no `has`.
 * Times are Cedar `datetime` and `duration`, sizes are bytes; names follow `PolicyFacts`.
 */
export const POLICY_SCHEMA = `
entity Researcher { organisation: String };
entity Dataset;
entity Image;

action "Run", "RunIfApproved" appliesTo {
  principal: Researcher,
  resource: Dataset,
  context: {
    now: datetime,
    station: String,
    dispatcher: String,
    train: {
      manifestDigest: String,
      image: Image,
      title: String,
      purpose: String,
      duo: Set<String>,
      outputKinds: Set<String>,
      minCellCount: Long,
      stops: Set<String>,
      recipients: Set<Researcher>,
      expires: datetime,
      lifetime: duration,
      memoryBytesMax: Long,
      cpuMillis: Long,
      pidsMax: Long,
      wallTimeMax: duration,
      outputBytesMax: Long,
    },
  },
};
`;
