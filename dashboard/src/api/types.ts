/**
 * The documents of the REST API in the names the code uses. Their shapes come from `schema.d.ts`, which `npm run generate`
 * makes from the committed OpenAPI document.
 */
import type { components } from './schema';

type Schemas = components['schemas'];

export type Timestamp = Schemas['Timestamp'];
export type Severity = Schemas['Severity'];
export type Presence = Schemas['Presence'];
export type StatusWord = Schemas['StatusWord'];
export type Mode = Schemas['Mode'];
export type Safety = Schemas['Safety'];

export type MachineSummary = Schemas['MachineSummary'];
export type MachinePage = Schemas['MachinePage'];
export type HealthProblem = Schemas['HealthProblem'];
export type ReportedState = Schemas['ReportedState'];
export type Machine = Schemas['Machine'];

export type FleetEvent = Schemas['Event'];
export type EventPage = Schemas['EventPage'];
export type FleetSummary = Schemas['FleetSummary'];
export type Timeline = Schemas['Timeline'];
export type TimelineBucket = Schemas['TimelineBucket'];
export type Telemetry = Schemas['Telemetry'];
export type Series = Schemas['Series'];
export type Point = Schemas['Point'];
export type LogLine = Schemas['LogLine'];
export type LogPage = Schemas['LogPage'];
export type Labels = Schemas['Labels'];
export type DisplayName = Schemas['DisplayName'];
export type Stop = Schemas['Stop'];
export type StopsIssued = Schemas['StopsIssued'];
export type MachineCommands = Schemas['MachineCommands'];
export type CommandTold = Schemas['CommandTold'];
export type MachineRecordings = Schemas['MachineRecordings'];
export type MachineRecording = Schemas['MachineRecording'];
export type Problem = Schemas['Problem'];
export type Desired = Schemas['Desired'];
export type DesiredSection = Schemas['DesiredSection'];
export type DesiredStatus = Schemas['DesiredStatus'];
export type DesiredHistory = Schemas['DesiredHistory'];
export type DesiredPast = Schemas['DesiredPast'];
export type CalibrationCheck = Schemas['CalibrationCheck'];
export type CalibrationProfile = Schemas['CalibrationProfile'];
export type DeviceCalibration = Schemas['DeviceCalibration'];

export type Permission = Schemas['Permission'];
export type Role = Schemas['Role'];
export type AccessGrant = Schemas['AccessGrant'];
export type Me = Schemas['Me'];
export type SignIn = Schemas['SignIn'];
export type SignedIn = Schemas['SignedIn'];
export type SetUp = Schemas['SetUp'];
export type Person = Schemas['Person'];
export type People = Schemas['People'];
export type PutPerson = Schemas['PutPerson'];
export type PutPassword = Schemas['PutPassword'];
export type SecondFactorOffer = Schemas['SecondFactorOffer'];
export type RecoveryCodes = Schemas['RecoveryCodes'];
export type AccessSession = Schemas['AccessSession'];
export type AccessSessions = Schemas['AccessSessions'];
export type AccessToken = Schemas['AccessToken'];
export type AccessTokens = Schemas['AccessTokens'];
export type MakeToken = Schemas['MakeToken'];
export type TokenMade = Schemas['TokenMade'];
export type RoleDescription = Schemas['RoleDescription'];
export type Roles = Schemas['Roles'];
export type PolicyEffect = Schemas['PolicyEffect'];
export type AccessPolicy = Schemas['AccessPolicy'];
export type AccessPolicies = Schemas['AccessPolicies'];
export type PutPolicy = Schemas['PutPolicy'];
export type CheckAccess = Schemas['CheckAccess'];
export type AccessDecision = Schemas['AccessDecision'];
export type AccessChecked = Schemas['AccessChecked'];
export type DeviceRequest = Schemas['DeviceRequest'];
export type Proposal = Schemas['Proposal'];
export type Proposals = Schemas['Proposals'];
export type ProposalState = Schemas['ProposalState'];
export type AuditObject = Schemas['AuditObject'];
export type AuditOutcome = Schemas['AuditOutcome'];
export type AuditEntry = Schemas['AuditEntry'];
export type AuditPage = Schemas['AuditPage'];
export type AuditChecked = Schemas['AuditChecked'];

export type CertificateAuthorities = Schemas['CertificateAuthorities'];
export type CertificateAuthority = Schemas['CertificateAuthority'];
export type Enrolment = Schemas['Enrolment'];
export type EnrolmentMade = Schemas['EnrolmentMade'];
export type EnrolmentPage = Schemas['EnrolmentPage'];
export type EnrolmentPolicy = Schemas['EnrolmentPolicy'];
export type EnrolmentState = Schemas['EnrolmentState'];
export type IdentityStanding = Schemas['IdentityStanding'];
export type MachineCertificate = Schemas['MachineCertificate'];
export type MachineIdentity = Schemas['MachineIdentity'];
export type MachineIdentityPage = Schemas['MachineIdentityPage'];
export type NewEnrolment = Schemas['NewEnrolment'];
