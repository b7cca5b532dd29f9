import { type Command, Option } from 'commander';
import type { Frame } from './frame.ts';
import { addMemberOptions, type InitOptions, initMember } from './init.ts';
import { PRESETS } from './station-policy-presets.ts';

const EXAMPLES = `
Example:
  $ pht --home amsterdam station init --id amsterdam --title 'Amsterdam UMC' \\
        --organisation 'Amsterdam UMC' --network network.json \\
        --dispatcher dispatcher.example.org:7443`;

/** `pht station init`: a station's home, with a configuration to fill in and a policy to start from. */
export function addStationInit(station: Command, frame: Frame): void {
  const command = station.command('init').summary("make this station's home with its keys");
  addMemberOptions(command)
    .addOption(
      new Option('--policy <preset>', 'the policy to start with').choices(PRESETS).default('closed' as const),
    )
    .description(
      "Makes a station's home: keys, configuration, a place for datasets, and a policy, which permits nothing unless --policy names another.",
    )
    .addHelpText('after', EXAMPLES)
    .action((options: Omit<InitOptions, 'role'>) => initMember(frame, { ...options, role: 'station' }));
}
