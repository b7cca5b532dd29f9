import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import Docker from 'dockerode';
import { beforeAll, describe, expect, it } from 'vitest';
import { ROOT, until } from '../journey/processes.ts';
import { gone, type Script } from './lying-dispatcher.ts';
import { cancellation } from './replays.ts';
import { everywhere, type Rig, type Scene } from './rig.ts';
import { signedTrain, type Train } from './trains.ts';

const CHUNK_BYTES = 64 * 1024;

/** The depot as the researcher filled it. */
export function honestDepot(rig: Rig): Script['download'] {
  return async function* ({ digest, offset }) {
    yield* chunks((await rig.blob(digest)).subarray(Number(offset)));
  };
}

function* chunks(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) yield bytes.subarray(at, at + CHUNK_BYTES);
}

/** Another's image, changed bytes, too many, too few, none: what was not signed is not run. */
export function images(scene: () => Scene): void {
  describe('images', () => {
    let signed: Train;
    let another: Train;
    beforeAll(async () => {
      const { rig } = scene();
      // Neither is in the engine, so that every byte has to come from the liar.
      signed = await freshImage(rig, 'the image that was signed, with a longer label');
      another = await freshImage(rig, 'another image');
    });

    const config = (train: Train): string => train.predicate.image.configDigest;
    const ownLayer = (train: Train): string => train.predicate.image.layers.at(-1)?.diffId ?? '';
    const instead = (
      target: () => string,
      lie: (honest: Uint8Array) => AsyncIterable<Uint8Array>,
    ): Script['download'] =>
      async function* (request, signal) {
        if (request.digest !== target()) yield* honestDepot(scene().rig)(request, signal);
        else yield* lie(await scene().rig.blob(request.digest));
      };

    const lies: [string, () => Script['download']][] = [
      [
        'the config of another image',
        () =>
          instead(
            () => config(signed),
            async function* (honest) {
              const theirs = await scene().rig.blob(config(another));
              expect(theirs.byteLength).toBeLessThanOrEqual(honest.byteLength);
              yield Buffer.concat([theirs, Buffer.alloc(honest.byteLength - theirs.byteLength, ' ')]);
            },
          ),
      ],
      [
        'a config that never ends',
        () =>
          instead(
            () => config(signed),
            async function* (honest) {
              yield honest;
              for (;;) yield Buffer.alloc(CHUNK_BYTES);
            },
          ),
      ],
      [
        'a layer with one byte flipped',
        () =>
          instead(
            () => ownLayer(signed),
            async function* (honest) {
              const flipped = Buffer.from(honest);
              flipped[600] = (flipped[600] ?? 0) ^ 1;
              yield* chunks(flipped);
            },
          ),
      ],
      [
        'a layer that never ends',
        () =>
          instead(
            () => ownLayer(signed),
            async function* () {
              for (;;) yield Buffer.alloc(CHUNK_BYTES);
            },
          ),
      ],
    ];

    it.each(lies)('%s: refused image.mismatch', async (_name, lie) => {
      const { rig, lee } = scene();
      const train = signedTrain(signed, lee);
      await everywhere(async (station) => {
        const runs = await rig.journey.runs(station);
        rig.liar.script(station, { download: lie() });
        const { end } = await rig.travelled(station, rig.order(station, train));
        expect(`${station}: ${end}`).toBe(`${station}: refused image.mismatch`);
        expect(await rig.journey.runs(station)).toBe(runs);
      });
    });

    it('a depot that breaks off twice and then sends what was signed: released', async () => {
      const { rig, lee } = scene();
      const train = signedTrain(signed, lee);
      const asked = await everywhere(async (station) => {
        let broken = 0;
        const download: Script['download'] = async function* (request, signal) {
          if (request.digest !== ownLayer(signed) || ++broken > 2) yield* honestDepot(rig)(request, signal);
        };
        rig.liar.script(station, { download });
        const { end } = await rig.travelled(station, rig.order(station, train));
        expect(`${station}: ${end}`).toBe(`${station}: released released`);
        return broken;
      });
      // All three share one engine: who comes later may find the image there.
      expect(Math.max(...asked)).toBeGreaterThan(2);
    });

    it('a depot that holds a train up for ever: cancelled when the researcher says so', async () => {
      const { rig, lee } = scene();
      const train = signedTrain(another, lee);
      await everywhere(async (station) => {
        let asked = 0;
        const download: Script['download'] = async function* (_request, signal) {
          asked++;
          if (station === 'north') return await gone(signal);
          while (!signal.aborted) {
            yield new Uint8Array();
            await sleep(5);
          }
        };
        rig.liar.script(station, { download });
        const ordered = rig.order(station, train);
        rig.send(station, ordered);
        if (station === 'east') {
          await rig.waiting(station, ordered);
          await rig.approve(station, ordered);
        }
        await until(`${station} asks for the image`, async () => asked > 0);
        rig.liar.offer(station, { cancellations: [cancellation(train, await rig.signer('dispatcher'))] });
        rig.liar.offer(station, { cancellations: [cancellation(train, lee)] });
        expect((await rig.heard(station, ordered)).end).toBe('cancelled cancelled');
        rig.liar.script(station, { download: honestDepot(rig) });
      });
    });
  });
}

async function freshImage(rig: Rig, label: string): Promise<Train> {
  const directory = join(rig.journey.dir, label.replaceAll(/\W/g, '-'));
  await cp(join(ROOT, 'trains', 'hello'), directory, { recursive: true });
  const unique = `${label} of ${rig.liar.network.id}`;
  await writeFile(
    join(directory, 'count.sh'),
    `${await readFile(join(directory, 'count.sh'), 'utf8')}# ${unique}\n`,
  );
  const dockerfile = await readFile(join(directory, 'Dockerfile'), 'utf8');
  await writeFile(join(directory, 'Dockerfile'), `${dockerfile}LABEL title="${unique}"\n`);
  const train = await rig.pack(directory);
  const docker = new Docker();
  for (const { Id } of await docker.listImages()) {
    const { Config } = await docker.getImage(Id).inspect();
    if (Config.Labels?.['title'] === unique) await docker.getImage(Id).remove({ force: true });
  }
  return train;
}
