/**
 * The documents of the REST API in the names the code uses. Their shapes come from `schema.d.ts`, which `npm run generate`
 * makes from the committed OpenAPI document; what that document cannot say is said here.
 */
import type { components } from './schema';

type Schemas = components['schemas'];

/** The server writes every field of these, with null for what is not known. */
type Always<T> = { [K in keyof T]-?: Exclude<T[K], undefined> };
/** The server leaves these out where they are not known, and never writes null. */
type LeftOut<T> = { [K in keyof T]?: NonNullable<T[K]> };

export type Timestamp = Schemas['Timestamp'];
export type Severity = Schemas['Severity'];
export type Presence = Schemas['Presence'];
export type StatusWord = Schemas['StatusWord'];
export type Mode = Schemas['Mode'];
export type Safety = Schemas['Safety'];

export type MachineSummary = Always<Schemas['MachineSummary']>;
export type MachinePage = Always<Omit<Schemas['MachinePage'], 'items'>> & { items: MachineSummary[] };

/** In the OpenAPI document this one shares its name with the error document, and loses. */
export interface HealthProblem {
  kind: string;
  severity: Severity;
  message: string;
}

export type ReportedState = LeftOut<Omit<Schemas['ReportedState'], 'health'>> & {
  health?: { level: Schemas['Health']; problems: HealthProblem[] };
};
export type Machine = Always<Omit<Schemas['Machine'], 'summary' | 'reported'>> & {
  summary: MachineSummary;
  reported: ReportedState;
};

export type FleetEvent = Schemas['Event'];
export type EventPage = Always<Schemas['EventPage']>;
export type FleetSummary = Always<Schemas['FleetSummary']>;
export type Timeline = Schemas['Timeline'];
export type TimelineBucket = Schemas['TimelineBucket'];
export type Telemetry = Schemas['Telemetry'];
export type Series = Schemas['Series'];
export type Point = Schemas['Point'];
export type LogLine = Schemas['LogLine'];
export type LogPage = Always<Schemas['LogPage']>;
export type Labels = Schemas['Labels'];
export type DisplayName = Always<Schemas['DisplayName']>;
export type Problem = Schemas['Problem'];
