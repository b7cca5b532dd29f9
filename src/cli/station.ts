import type { Command } from 'commander';
import type { Frame } from './frame.ts';
import { addStationAdmin } from './station-admin.ts';
import { addStationDoctor } from './station-doctor.ts';
import { addStationInit } from './station-init.ts';
import { addStationPolicy } from './station-policy.ts';
import { addStationServe } from './station-serve.ts';

/** `pht station …` */
export function register(program: Command, frame: Frame): void {
  const station = program.command('station').summary('run and govern a station');
  station.description('Runs and governs one station.');
  addStationInit(station, frame);
  addStationServe(station, frame);
  addStationAdmin(station, frame);
  addStationDoctor(station, frame);
  addStationPolicy(station, frame);
}
