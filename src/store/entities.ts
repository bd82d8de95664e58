/**
 * The rows. They never leave this room: repositories hand out plain data. The SQL that creates them is in
 * `migrations/`; a test proves that the two agree.
 */
import { defineEntity, p } from '@mikro-orm/core';

const sealed = () => p.text().nullable();
const at = () => p.datetime(3);

export const CloudRow = defineEntity({
  name: 'CloudRow',
  tableName: 'cloud',
  properties: {
    id: p.text().primary(),
    login: p.text(),
    graph: p.text(),
    portal: p.text().nullable(),
    managedBy: p.text().default('file'),
  },
});

export const TenantRow = defineEntity({
  name: 'TenantRow',
  tableName: 'tenant',
  properties: {
    id: p.text().primary(),
    name: p.text(),
    cloud: p.text(),
    directory: p.text(),
    client: p.text(),
    access: p.text(),
    ceiling: p.text(),
    /** Whether its sources may be watched by change notifications. */
    hasPush: p.boolean().default(true),
    credentialKind: p.text().nullable(),
    secretSealed: sealed(),
    certificate: p.text().nullable(),
    privateKeySealed: sealed(),
    managedBy: p.text().default('file'),
    updatedAt: at(),
    /** Until when the client secret is good, where the operator says so. */
    secretExpiresAt: at().nullable(),
    /** How long events stay after access was withdrawn. */
    keepWithdrawnDays: p.integer().default(30),
  },
});

export const TargetRow = defineEntity({
  name: 'TargetRow',
  tableName: 'target',
  properties: {
    id: p.text().primary(),
    url: p.text(),
    username: p.text(),
    passwordSealed: sealed(),
    strategy: p.text(),
    dedupe: p.text(),
    drift: p.text(),
    managedBy: p.text().default('file'),
    home: p.text().nullable(),
    /** Attempts since the last success, and when the next one may be. */
    failures: p.integer().default(0),
    notBefore: at().nullable(),
    pausedCode: p.text().nullable(),
    pausedReason: p.text().nullable(),
    remedy: p.text().nullable(),
    lastWriteAt: at().nullable(),
    /** When it, or what we remember of it, was last put back from a backup. */
    restoredAt: at().nullable(),
    /** After that: `waiting` until both sides are read, then `ready`; null once the operator has approved. */
    review: p.text().nullable(),
    /** Its server went back in time: what stands there is written again even where it is right. */
    isRewriteWanted: p.boolean().default(false),
    updatedAt: at(),
  },
});

export const TargetCalendarRow = defineEntity({
  name: 'TargetCalendarRow',
  tableName: 'target_calendar',
  properties: {
    targetId: p.text().primary(),
    id: p.text().primary(),
    name: p.text(),
    color: p.text().nullable(),
    position: p.integer(),
    /** Path of the collection once it is known to exist. */
    href: p.text().nullable(),
    syncToken: p.text().nullable(),
    /** When all of it was last compared, and when what changed since was last asked for. */
    listedAt: at().nullable(),
    checkedAt: at().nullable(),
    /** Since when the server says that it is not there. */
    goneAt: at().nullable(),
  },
});

export const SourceRow = defineEntity({
  name: 'SourceRow',
  tableName: 'source',
  properties: {
    id: p.text().primary(),
    kind: p.text(),
    /** Settings as in config/model.ts, without secrets. */
    settings: p.json(),
    secretSealed: sealed(),
    tenantId: p.text().nullable(),
    targetId: p.text(),
    calendarId: p.text(),
    position: p.integer(),
    managedBy: p.text().default('file'),
    /** Raised by every change after which what was read before must not be committed. */
    epoch: p.integer().default(1),
    /** What is wanted and what is done: a reading is due while wanted is ahead. */
    wantedVersion: p.bigint().default(1),
    doneVersion: p.bigint().default(0),
    isFullWanted: p.boolean().default(false),
    nextPollAt: at(),
    notBefore: at().nullable(),
    failures: p.integer().default(0),
    pausedCode: p.text().nullable(),
    pausedReason: p.text().nullable(),
    remedy: p.text().nullable(),
    /** Of two ways to one mailbox, the source that speaks instead of this one. */
    yieldsTo: p.text().nullable(),
    /** When a reading last proved that we show what the source shows. */
    freshAt: at().nullable(),
    /** How the last reading that ended well went: duration and counts. */
    lastReading: p.json().nullable(),
    /** Happenings by which source and target differed when they were last compared. */
    drift: p.integer().nullable(),
    comparedAt: at().nullable(),
    /** When they are to be compared next; null: not planned yet. */
    compareAt: at().nullable(),
    /** How much slower it is polled (doublings) because it asked for that, and since when. */
    slowed: p.integer().default(0),
    slowedAt: at().nullable(),
    /** A poll found what no notification had told: until the next one it is polled as if there were none. */
    pushMissedAt: at().nullable(),
    updatedAt: at(),
  },
});

export const StreamRow = defineEntity({
  name: 'StreamRow',
  tableName: 'stream',
  properties: {
    id: p.bigint().primary().autoincrement(),
    sourceId: p.text(),
    /** `full` while its first reading runs, then `delta`. A source has at most one of each. */
    kind: p.text(),
    cursor: p.text().nullable(),
    cursorSeq: p.bigint().default(0),
    round: p.bigint(),
    windowFrom: at(),
    windowTo: at(),
    startedAt: at(),
    finishedAt: at().nullable(),
    /** Of a full reading: a delta tells all changes beside it, so that what has its known version need not be rebuilt. */
    isRoutine: p.boolean().default(false),
    /** How many times the window was halved, because Graph could not answer for the longer one. */
    halvings: p.integer().default(0),
    /** How often a longer one was tried in vain since. */
    failedTrials: p.integer().default(0),
  },
});

export const SubscriptionRow = defineEntity({
  name: 'SubscriptionRow',
  tableName: 'subscription',
  properties: {
    /** The source may be gone already: the row stays until Graph was told. */
    sourceId: p.text().primary(),
    tenantId: p.text(),
    mailbox: p.text(),
    calendar: p.text(),
    /** `calendar`: tells of this calendar for certain; `mailbox`: stands in where Graph refuses that. */
    scope: p.text(),
    resource: p.text().nullable(),
    /** Graph's id of it; sources of one resource share one. Null: there is none now. */
    graphId: p.text().nullable(),
    clientStateHash: p.text().nullable(),
    /** The PUBLIC_URL that it was made for. */
    url: p.text(),
    /** The longest life that Graph granted. */
    minutes: p.integer(),
    /** Graph was asked to make it and the answer is not recorded yet. */
    attemptedAt: at().nullable(),
    createdAt: at().nullable(),
    expiresAt: at().nullable(),
    renewAt: at().nullable(),
    notBefore: at().nullable(),
    failures: p.integer().default(0),
    code: p.text().nullable(),
    reason: p.text().nullable(),
  },
});

/** What Graph told of one source, apart from the source's row: a notification waits for no reading. */
export const ToldRow = defineEntity({
  name: 'ToldRow',
  tableName: 'told',
  properties: {
    sourceId: p.text().primary(),
    /** How often something was told, and how much of that a reading has dealt with. */
    version: p.bigint().default(1),
    doneVersion: p.bigint().default(0),
    /** Since when at the latest something told waits for its reading. */
    since: at(),
    /** When something was last told. */
    at: at(),
  },
});

export const StaleRow = defineEntity({
  name: 'StaleRow',
  tableName: 'stale_series',
  properties: {
    sourceId: p.text().primary(),
    key: p.text().primary(),
    why: p.text(),
    version: p.bigint().default(1),
    failures: p.integer().default(0),
    notBefore: at().nullable(),
    code: p.text().nullable(),
    reason: p.text().nullable(),
    since: at(),
  },
});

export const ClaimRow = defineEntity({
  name: 'ClaimRow',
  tableName: 'claim',
  properties: {
    id: p.bigint().primary().autoincrement(),
    sourceId: p.text(),
    key: p.text(),
    version: p.text().nullable(),
    /** The redacted series; null when a filter or `privateItems: skip` hides it. */
    series: p.json().nullable(),
    uid: p.text().nullable(),
    slot: p.text(),
    hiddenBy: p.text().nullable(),
    detail: p.text(),
    /** `shown`, `pending` (removal under the guard, still shown), `held`. */
    state: p.text().default('shown'),
    round: p.bigint(),
    meetingId: p.bigint().nullable(),
    /** Hash of what the claim says (series, verdict, detail): an equal one means that nothing changed. */
    content: p.text(),
    lastModifiedAt: at().nullable(),
    firstStart: at().nullable(),
    lastEnd: at().nullable(),
    check: p.json().nullable(),
    /** Hashes of the ids of its occurrences. */
    members: p.array().columnType('bigint[]').default([]),
    changedAt: at(),
    readAt: at(),
    /** Its last change: when a notification told of it (null: none did), and whether it was read as a change at all. */
    toldAt: at().nullable(),
    isLive: p.boolean().default(false),
  },
});

/** What a flow told to be deleted: it beats whatever was modified before it and comes later. */
export const TombstoneRow = defineEntity({
  name: 'TombstoneRow',
  tableName: 'tombstone',
  properties: {
    sourceId: p.text().primary(),
    key: p.text().primary(),
    at: at(),
  },
});

/** The signature of a post that was stored: until it is out of date anyway, it stores no second time. */
export const FlowSignatureRow = defineEntity({
  name: 'FlowSignatureRow',
  tableName: 'flow_signature',
  properties: {
    sourceId: p.text().primary(),
    signature: p.text().primary(),
    until: at(),
  },
});

export const RemovalRow = defineEntity({
  name: 'RemovalRow',
  tableName: 'removal',
  properties: {
    id: p.bigint().primary().autoincrement(),
    sourceId: p.text(),
    claimKey: p.text(),
    isUpcoming: p.boolean(),
    /** `done`, `held`, `approved`, `discarded`. */
    state: p.text(),
    reason: p.text(),
    at: at(),
    decidedAt: at().nullable(),
  },
});

export const MeetingRow = defineEntity({
  name: 'MeetingRow',
  tableName: 'meeting',
  properties: {
    id: p.bigint().primary().autoincrement(),
    targetId: p.text(),
    identity: p.text(),
    /** The identity's halves, for orphans and their series. */
    identityUid: p.text().nullable(),
    slot: p.text(),
    uid: p.text(),
    sequence: p.integer().default(0),
    anchor: p.text().nullable(),
    pinnedSourceId: p.text().nullable(),
    /** Of a tenant that was forgotten: what stands there goes at once, and nothing of it into the trash. */
    isForgotten: p.boolean().default(false),
    shownClaimId: p.bigint().nullable(),
    shownSourceId: p.text().nullable(),
    /** End of the last occurrence that shows; null: endless, or nothing shows. */
    shownUntil: at().nullable(),
    why: p.text().nullable(),
    wantedVersion: p.bigint().default(1),
    doneVersion: p.bigint().default(0),
    notBefore: at().nullable(),
    failures: p.integer().default(0),
    code: p.text().nullable(),
    reason: p.text().nullable(),
    createdAt: at(),
    wantedAt: at(),
  },
});

export const ObjectRow = defineEntity({
  name: 'ObjectRow',
  tableName: 'object',
  properties: {
    id: p.bigint().primary().autoincrement(),
    meetingId: p.bigint(),
    targetId: p.text(),
    calendarId: p.text(),
    part: p.text(),
    href: p.text(),
    uid: p.text(),
    etag: p.text().nullable(),
    /** Of what we rendered last; null: unknown, to be written again. */
    fingerprint: p.text().nullable(),
    scheduleFingerprint: p.text().nullable(),
    /** md5 of bodies that we sent, newest last: a server copy equal to an old one is a late write of our own. */
    sentBodies: p.json(),
    /** Clients keep something of their own in it, to be carried along by the next write. */
    hasClientState: p.boolean().default(false),
    repairs: p.integer().default(0),
    repairedAt: at().nullable(),
    writtenAt: at(),
  },
});

export const IntentRow = defineEntity({
  name: 'IntentRow',
  tableName: 'intent',
  properties: {
    id: p.bigint().primary().autoincrement(),
    targetId: p.text(),
    meetingId: p.bigint(),
    calendarId: p.text(),
    part: p.text(),
    action: p.text(),
    href: p.text(),
    uid: p.text(),
    bodyMd5: p.text().nullable(),
    fence: p.bigint(),
    at: at(),
    /** Until then the request may still take effect. */
    settleAt: at(),
  },
});

export const LeaseRow = defineEntity({
  name: 'LeaseRow',
  tableName: 'lease',
  properties: {
    name: p.text().primary(),
    holder: p.text().nullable(),
    fence: p.bigint().default(0),
    expiresAt: at(),
    /** Of a reading of one of the tenant's mailboxes: these are counted. */
    tenantId: p.text().nullable(),
  },
});

/** How many readings of a tenant may run at a time, all workers together: fewer when it asks us to slow down. */
export const TenantPaceRow = defineEntity({
  name: 'TenantPaceRow',
  tableName: 'tenant_pace',
  properties: {
    tenantId: p.text().primary(),
    cap: p.double(),
    throttledAt: at().nullable(),
  },
});

/** How long one change took until it was written, from three beginnings. */
export const FreshnessRow = defineEntity({
  name: 'FreshnessRow',
  tableName: 'freshness',
  properties: {
    id: p.bigint().primary().autoincrement(),
    sourceId: p.text(),
    at: at(),
    /** From the change in the source, its notification (null: there was none), and its reading. */
    changeMs: p.double().nullable(),
    toldMs: p.double().nullable(),
    readMs: p.double(),
  },
});

export const AlarmRow = defineEntity({
  name: 'AlarmRow',
  tableName: 'alarm',
  properties: {
    key: p.text().primary(),
    kind: p.text(),
    subject: p.text(),
    message: p.text(),
    remedy: p.text().nullable(),
    /** When the trouble began, was told, and was over; null: it lasts. */
    since: at(),
    raisedAt: at(),
    clearedAt: at().nullable(),
  },
});

/** What is to be told of an alarm, or was: once on each channel, whatever restarts. */
export const AlarmNoticeRow = defineEntity({
  name: 'AlarmNoticeRow',
  tableName: 'alarm_notice',
  properties: {
    id: p.bigint().primary().autoincrement(),
    alarmKey: p.text(),
    raisedAt: at(),
    /** `raised` or `cleared`. */
    what: p.text(),
    /** `webhook` or `mail`. */
    channel: p.text(),
    text: p.json(),
    attempts: p.integer().default(0),
    notBefore: at().nullable(),
    sentAt: at().nullable(),
    failure: p.text().nullable(),
  },
});

export const ConflictRow = defineEntity({
  name: 'ConflictRow',
  tableName: 'conflict',
  properties: {
    id: p.bigint().primary().autoincrement(),
    meetingId: p.bigint(),
    field: p.text(),
    shown: p.json(),
    other: p.json(),
    rule: p.text(),
    openedAt: at(),
    closedAt: at().nullable(),
  },
});

export const TrashRow = defineEntity({
  name: 'TrashRow',
  tableName: 'trash',
  properties: {
    id: p.bigint().primary().autoincrement(),
    targetId: p.text(),
    calendarId: p.text(),
    meetingId: p.bigint().nullable(),
    /** Whose words the body is: its privacy rules hold for the trash too. */
    sourceId: p.text().nullable(),
    part: p.text(),
    href: p.text(),
    uid: p.text(),
    body: p.text(),
    reason: p.text(),
    deletedAt: at(),
    restoredAt: at().nullable(),
  },
});

export const HistoryRow = defineEntity({
  name: 'HistoryRow',
  tableName: 'sync_history',
  properties: {
    id: p.bigint().primary().autoincrement(),
    at: at(),
    /** `ok` or `error`. */
    status: p.text(),
    action: p.text(),
    sourceId: p.text().nullable(),
    targetId: p.text().nullable(),
    meetingId: p.bigint().nullable(),
    uid: p.text().nullable(),
    href: p.text().nullable(),
    httpStatus: p.integer().nullable(),
    code: p.text().nullable(),
    message: p.text().nullable(),
    durationMs: p.integer().nullable(),
    counts: p.json().nullable(),
  },
});

export const AuditRow = defineEntity({
  name: 'AuditRow',
  tableName: 'audit',
  properties: {
    id: p.bigint().primary().autoincrement(),
    at: at(),
    actor: p.text(),
    action: p.text(),
    subject: p.text(),
    detail: p.json().nullable(),
  },
});

export const SettingRow = defineEntity({
  name: 'SettingRow',
  tableName: 'setting',
  properties: {
    name: p.text().primary(),
    value: p.text(),
  },
});

/** How far a tenant's administrator has let us in; see `AccessState` in store/tenant-access.ts. */
export const TenantAccessRow = defineEntity({
  name: 'TenantAccessRow',
  tableName: 'tenant_access',
  properties: {
    tenantId: p.text().primary(),
    state: p.text().default('unasked'),
    /** When the administrator said that access is given; the proof is another matter. */
    grantedAt: at().nullable(),
    grantedBy: p.text().nullable(),
    declinedAt: at().nullable(),
    /** A mailbox that must not be readable. */
    controlMailbox: p.text().nullable(),
    controlState: p.text().nullable(),
    /** The privacy that the administrator permits at most. */
    ceiling: p.text().nullable(),
    ceilingAt: at().nullable(),
    provenAt: at().nullable(),
    triedAt: at().nullable(),
    nextTryAt: at().nullable(),
    failures: p.integer().default(0),
    code: p.text().nullable(),
    reason: p.text().nullable(),
    remedy: p.text().nullable(),
    /** Of which end of a credential was warned, and how many days ahead. */
    warnedOf: p.text().nullable(),
    /** What `probe` found. */
    behaviours: p.json().nullable(),
    probedAt: at().nullable(),
  },
});

export const MailboxAccessRow = defineEntity({
  name: 'MailboxAccessRow',
  tableName: 'mailbox_access',
  properties: {
    tenantId: p.text().primary(),
    /** In lower case. */
    mailbox: p.text().primary(),
    state: p.text(),
    code: p.text().nullable(),
    reason: p.text().nullable(),
    remedy: p.text().nullable(),
    readableAt: at().nullable(),
    triedAt: at(),
  },
});

/** Opens the consent pages of one tenant to whoever has the link. */
export const ConsentLinkRow = defineEntity({
  name: 'ConsentLinkRow',
  tableName: 'consent_link',
  properties: {
    /** SHA-256 of the key in the link. */
    id: p.text().primary(),
    tenantId: p.text(),
    createdAt: at(),
    expiresAt: at(),
    closedAt: at().nullable(),
  },
});

/** A journey to Microsoft and back, to be made once. */
export const ConsentStateRow = defineEntity({
  name: 'ConsentStateRow',
  tableName: 'consent_state',
  properties: {
    id: p.text().primary(),
    tenantId: p.text(),
    linkId: p.text(),
    /** `v1`, `v2`: consent for the tenant; `sign-in`: a person for one mailbox. */
    kind: p.text(),
    mailbox: p.text().nullable(),
    verifierSealed: sealed(),
    expiresAt: at(),
    usedAt: at().nullable(),
  },
});

/** A person's sign-in for their mailbox; the cache holds refresh tokens. */
export const SignInRow = defineEntity({
  name: 'SignInRow',
  tableName: 'sign_in',
  properties: {
    tenantId: p.text().primary(),
    mailbox: p.text().primary(),
    account: p.text(),
    username: p.text(),
    cacheSealed: p.text(),
    version: p.bigint().default(1),
    signedInAt: at(),
    refreshedAt: at(),
    /** Null: nobody says. */
    expiresAt: at().nullable(),
    warnedOf: p.text().nullable(),
  },
});

/** Access to a source that was taken from us: since when, and when that was last proven. */
export const WithdrawalRow = defineEntity({
  name: 'WithdrawalRow',
  tableName: 'withdrawal',
  properties: {
    sourceId: p.text().primary(),
    code: p.text(),
    since: at(),
    provenAt: at(),
    /** How many days before its events go that was told. */
    toldDays: p.integer().nullable(),
    removedAt: at().nullable(),
  },
});

/** The calendar that a source was found to be, so that it is found again after a change of its name or id. */
export const SourceCalendarRow = defineEntity({
  name: 'SourceCalendarRow',
  tableName: 'source_calendar',
  properties: {
    sourceId: p.text().primary(),
    /** What the configuration called it then. */
    wanted: p.text(),
    calendarId: p.text(),
    name: p.text(),
    owner: p.text().nullable(),
    isOwn: p.boolean(),
    color: p.text().nullable(),
    seenAt: at(),
  },
});

export const entities = [
  CloudRow,
  TenantRow,
  TargetRow,
  TargetCalendarRow,
  SourceRow,
  StreamRow,
  SubscriptionRow,
  ToldRow,
  StaleRow,
  ClaimRow,
  TombstoneRow,
  FlowSignatureRow,
  RemovalRow,
  MeetingRow,
  ObjectRow,
  IntentRow,
  LeaseRow,
  TenantPaceRow,
  FreshnessRow,
  AlarmRow,
  AlarmNoticeRow,
  ConflictRow,
  TrashRow,
  HistoryRow,
  AuditRow,
  SettingRow,
  TenantAccessRow,
  MailboxAccessRow,
  ConsentLinkRow,
  ConsentStateRow,
  SignInRow,
  WithdrawalRow,
  SourceCalendarRow,
];
