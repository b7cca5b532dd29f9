import { expect, it } from 'vitest';
import { sourcesFrom } from './apt.ts';

it('passes on the host’s mirrors of this release over http, and nothing else', () => {
  const listed = [
    'http://deb.example/debian/ bookworm main',
    'http://deb.example/debian/ bookworm main',
    'http://deb.example/debian/ bookworm-updates main',
    'http://deb.example/debian-security/ bookworm-security main',
    'http://deb.example/debian/ bookworm contrib',
    'http://deb.example/debian/ trixie main',
    'https://elsewhere.example/node nodistro main',
    'http://a b/ bookworm main',
    '',
  ];
  expect(sourcesFrom(listed.join('\n')).split('\n')).toEqual([
    'deb http://deb.example/debian/ bookworm main',
    'deb http://deb.example/debian/ bookworm-updates main',
    'deb http://deb.example/debian-security/ bookworm-security main',
  ]);
});

it('passes on nothing where the host has no mirror of the release itself', () => {
  expect(sourcesFrom('')).toBe('');
  expect(sourcesFrom('http://deb.example/debian/ trixie main')).toBe('');
  expect(sourcesFrom('http://deb.example/debian/ bookworm-updates main')).toBe('');
});
