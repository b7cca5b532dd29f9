/**
 * A policy as a large station might have it: a permit for each of its projects, with conditions of its own, and a forbid
 * for every tenth. Rule `r<n>` is for researchers on the list `l<n>`, and every fourth asks a person; so a train of
 * somebody on one list meets one rule, and all others say why not.
 */
export function policyOf(rules: number): string {
  return Array.from({ length: rules }, (_, at) => (at % 10 === 9 ? forbid(at) : permit(at))).join('\n');
}

function permit(at: number): string {
  return `@id("r${at}") @explain("project ${at}, within this station's limits")
permit (principal in List::"l${at}", action == Action::"${at % 4 === 2 ? 'RunIfApproved' : 'Run'}", resource)
when { ["dataset", "cgd", "project-${at}"].contains(context.station) || resource in [Dataset::"dataset", Dataset::"d${at}"] }
when { ["DUO:0000042", "DUO:0000006", "DUO:0000007"].containsAny(context.train.duo) }
when { ["Frequencies", "LinearAggregations", "StatisticalHypothesisTests"].containsAll(context.train.outputKinds) }
when { context.train.recipients == [principal] }
when { context.train.lifetime <= duration("${30 + (at % 60)}d") }
when { context.train.memoryBytesMax <= 2147483648 }
when { context.train.pidsMax <= 256 }
when { context.train.wallTimeMax <= duration("${1 + (at % 12)}h") };`;
}

function forbid(at: number): string {
  return `@id("r${at}") @explain("${at} is closed")
forbid (principal, action, resource == Dataset::"d${at}")
unless { principal in List::"l${at}" };`;
}
