import { resolve } from 'node:path';
import type { Frame } from './frame.ts';

/** `pht network timer`: what keeps a network fresh, as systemd units to be looked at and installed by a person. */
export function tellTimer(frame: Frame): void {
  const { dir } = frame.openHome(['authority']);
  const home = resolve(dir);
  const program = [process.execPath, resolve(process.argv[1] ?? 'pht')];
  const user = process.env['USER'] ?? 'signalbox';
  const units = {
    'signalbox-freshen.service': service(home, program, user),
    'signalbox-freshen.timer': TIMER,
  };
  frame.output.result({ units }, [
    ...Object.entries(units).flatMap(([name, text]) => [
      `# /etc/systemd/system/${name}`,
      ...text.trimEnd().split('\n'),
      '',
    ]),
    '# Then: systemctl daemon-reload',
    '#       systemctl enable --now signalbox-freshen.timer',
    '# Look at it: systemctl list-timers signalbox-freshen.timer',
  ]);
}

/** systemd splits at blanks and expands % by itself. */
const quoted = (path: string): string => `"${path.replace(/["\\]/g, '\\$&').replaceAll('%', '%%')}"`;

/** In a command line it replaces $NAME as well, between quotes too. */
const argument = (path: string): string => quoted(path).replaceAll('$', '$$$$');

const service = (home: string, program: readonly string[], user: string): string => `[Unit]
Description=Says that the network file is the newest, and renews certificates
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
User=${user}
ExecStart=${program.map(argument).join(' ')} --home ${argument(home)} network freshen --give-out
ReadWritePaths=${quoted(home)}
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
NoNewPrivileges=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6
RestrictNamespaces=yes
RestrictSUIDSGID=yes
LockPersonality=yes
CapabilityBoundingSet=
SystemCallFilter=@system-service
UMask=0077
TimeoutStartSec=5min
`;

const TIMER = `[Unit]
Description=Keeps the network file fresh

[Timer]
OnCalendar=daily
RandomizedDelaySec=2h
Persistent=yes

[Install]
WantedBy=timers.target
`;
