import type { InquiryStore } from '../../ports/station-store.ts';
import { type Database, integer } from './database.ts';

/** What researchers asked lately: as many rows as the rates allow within their window. */

export const INQUIRY_TABLES = `
  CREATE TABLE inquiries (
    digest TEXT PRIMARY KEY, researcher TEXT NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL
  ) STRICT;`;

export function createInquiries(database: Database): InquiryStore {
  return {
    take: ({ digest, researcher, expiresMs }, { windowMs, perResearcherMax, overallMax }, nowMs) =>
      database.transaction(() => {
        // A clock that was set back must not open the window anew.
        database.run(
          'DELETE FROM inquiries WHERE abs(? - at) >= ? AND expires <= ?',
          ...[nowMs, windowMs, nowMs],
        );
        if (database.get('SELECT 1 FROM inquiries WHERE digest = ?', digest) !== undefined) return 'replayed';
        const counted =
          database.get(
            `SELECT count(*) AS overall, count(*) FILTER (WHERE researcher = ?) AS own FROM inquiries
             WHERE abs(? - at) < ?`,
            ...[researcher, nowMs, windowMs],
          ) ?? {};
        if (integer(counted, 'own') >= perResearcherMax || integer(counted, 'overall') >= overallMax)
          return 'too-many';
        database.run(
          'INSERT INTO inquiries (digest, researcher, at, expires) VALUES (?, ?, ?, ?)',
          ...[digest, researcher, nowMs, expiresMs],
        );
        return 'taken';
      }),
  };
}

/** It still counts for all together, and cannot be sent again. */
export function eraseInquiries(database: Database, member: string): void {
  database.run(`UPDATE inquiries SET researcher = '' WHERE researcher = ?`, member);
}
