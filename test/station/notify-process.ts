import { createCommandNotifier } from '../../src/adapters/notify/command.ts';
import { openStationStore } from '../../src/adapters/store/station-store.ts';
import { createNotifying } from '../../src/journey/station/notify.ts';

/** What a station does about notices, in a process of its own that a test can kill. */

const [, , path = '', nowMs = '', ...command] = process.argv;
const store = openStationStore(path, 'north');
const station = { clock: { nowMs: () => Number(nowMs) }, note: () => undefined };
const plan = { when: 'at-once', at: '08:00', on: ['ask'], remindAfterDays: 3 } as const;
const ports = { notices: store.notices, notifier: createCommandNotifier(command) };
await createNotifying(station, ports, plan).run(new AbortController().signal);
