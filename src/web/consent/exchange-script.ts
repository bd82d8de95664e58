import type { Cloud } from '../../shared/clouds.ts';

export interface ScriptSubject {
  /** Id of the tenant in this service; becomes part of names in Exchange. */
  readonly tenantId: string;
  readonly directory: string;
  readonly client: string;
  readonly cloud: Cloud;
  /** Addresses to be read. */
  readonly mailboxes: readonly string[];
  /** An address that must stay closed; null: none is named. */
  readonly control: string | null;
}

/** Names that the PowerShell modules give the clouds, by Graph host. */
const environments: Readonly<Record<string, { readonly exchange: string; readonly graph: string }>> = {
  'https://graph.microsoft.com': { exchange: 'O365Default', graph: 'Global' },
  'https://graph.microsoft.us': { exchange: 'O365USGovGCCHigh', graph: 'USGov' },
  'https://dod-graph.microsoft.us': { exchange: 'O365USGovDoD', graph: 'USGovDoD' },
  'https://microsoftgraph.chinacloudapi.cn': { exchange: 'O365China', graph: 'China' },
};

/** Marks the line that the script prints for the administrator to paste back. */
export const resultMark = 'calendar-sync-result:';

/**
 * PowerShell that lets the app read the calendars of the named mailboxes and no others, by Exchange RBAC for
 * Applications. Can be run again with other mailboxes: it changes the scope that it made. Ends with one line to paste
 * back.
 */
export function grantScript(subject: ScriptSubject): string {
  const { tenantId, client, directory, mailboxes, control } = subject;
  const name = `calendar-sync ${tenantId}`;
  return [
    ...head(subject, 'Lets calendar-sync read the calendars of the mailboxes below, and of no others.'),
    `$AppId     = ${quoted(client)}`,
    `$Directory = ${quoted(directory)}`,
    `$Name      = ${quoted(name)}`,
    `$Mailboxes = @(${mailboxes.map(quoted).join(', ')})`,
    `$Control   = ${control === null ? '$null' : quoted(control)}   # a mailbox that must stay closed`,
    '',
    '# The enterprise application that belongs to the app registration',
    '$App = Get-MgServicePrincipal -Filter "appId eq \'$AppId\'"',
    'if (-not $App) { throw "There is no enterprise application for $AppId. Register the app first (steps 1 to 3)." }',
    '',
    '# A calendar permission in Entra would count for every mailbox, beside the scope',
    '$Grants = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $App.Id | ForEach-Object {',
    '  $Resource = Get-MgServicePrincipal -ServicePrincipalId $_.ResourceId; $Role = $_.AppRoleId',
    "  ($Resource.AppRoles | Where-Object Id -eq $Role).Value } | Where-Object { $_ -like 'Calendars.*' -or $_ -eq 'full_access_as_app' })",
    'if ($Grants) { Write-Warning "Remove in Entra, or the scope limits nothing: $($Grants -join \', \')" }',
    '',
    '# Exchange knows the app',
    'if (-not (Get-ServicePrincipal -Identity $App.Id -ErrorAction SilentlyContinue)) {',
    '  New-ServicePrincipal -AppId $AppId -ObjectId $App.Id -DisplayName $Name | Out-Null',
    '}',
    '',
    '# The scope: these mailboxes only',
    "$Filter = ($Mailboxes | ForEach-Object { \"PrimarySmtpAddress -eq '$($_.Replace(\"'\", \"''\"))'\" }) -join ' -or '",
    'if (Get-ManagementScope -Identity $Name -ErrorAction SilentlyContinue) {',
    '  Set-ManagementScope -Identity $Name -RecipientRestrictionFilter $Filter',
    '} else {',
    '  New-ManagementScope -Name $Name -RecipientRestrictionFilter $Filter | Out-Null',
    '}',
    '',
    '# The role: read calendars, within the scope',
    'if (-not (Get-ManagementRoleAssignment -Identity $Name -ErrorAction SilentlyContinue)) {',
    "  New-ManagementRoleAssignment -Name $Name -App $App.Id -Role 'Application Calendars.Read' -CustomResourceScope $Name | Out-Null",
    '}',
    '',
    '# What Exchange says of it',
    'function InScope($Mailbox) {',
    "  [bool](Test-ServicePrincipalAuthorization -Identity $App.Id -Resource $Mailbox | Where-Object { $_.RoleName -eq 'Application Calendars.Read' -and $_.InScope })",
    '}',
    '$Result = [ordered]@{',
    '  directory = $Directory; client = $AppId; grants = $Grants',
    '  mailboxes = @($Mailboxes | ForEach-Object { [ordered]@{ address = $_; inScope = (InScope $_) } })',
    '  control   = if ($Control) { [ordered]@{ address = $Control; inScope = (InScope $Control) } } else { $null }',
    '}',
    '$Result.mailboxes | ForEach-Object { [pscustomobject]$_ } | Format-Table',
    '$Bytes = [Text.Encoding]::UTF8.GetBytes(($Result | ConvertTo-Json -Depth 4 -Compress))',
    "Write-Host 'Paste this one line back into the page of calendar-sync:'",
    `Write-Host ('${resultMark}' + [Convert]::ToBase64String($Bytes))`,
    '',
  ].join('\n');
}

/** PowerShell that shows what the app may do, mailbox by mailbox; changes nothing. */
export function checkScript(subject: ScriptSubject): string {
  const all = [...subject.mailboxes, ...(subject.control === null ? [] : [subject.control])];
  return [
    ...head(subject, 'Shows which mailboxes calendar-sync may read. Changes nothing.'),
    `$App = Get-MgServicePrincipal -Filter "appId eq '${subject.client}'"`,
    `foreach ($Mailbox in @(${all.map(quoted).join(', ')})) {`,
    '  Test-ServicePrincipalAuthorization -Identity $App.Id -Resource $Mailbox | Format-Table RoleName, AllowedResourceScope, InScope',
    '}',
    '',
  ].join('\n');
}

/** PowerShell that takes the access away again. */
export function withdrawScript(subject: ScriptSubject): string {
  const name = quoted(`calendar-sync ${subject.tenantId}`);
  return [
    ...head(subject, 'Takes away what the other script gave: calendar-sync can read nothing any more.'),
    `$App = Get-MgServicePrincipal -Filter "appId eq '${subject.client}'"`,
    `Remove-ManagementRoleAssignment -Identity ${name} -Confirm:$false`,
    `Remove-ManagementScope -Identity ${name} -Confirm:$false`,
    'Remove-ServicePrincipal -Identity $App.Id -Confirm:$false',
    '',
  ].join('\n');
}

/**
 * The older way: an Entra grant for all mailboxes, and an application access policy that leaves the members of a group
 * (Graph docs, `auth-limit-mailbox-access.md`).
 */
export function policyScript(subject: ScriptSubject): string {
  const name = `calendar-sync-${subject.tenantId}`;
  const { client, mailboxes, control } = subject;
  return [
    ...head(subject, 'The older way: an application access policy in place of RBAC for Applications.'),
    `$Group = New-DistributionGroup -Name ${quoted(name)} -Type Security -Members @(${mailboxes.map(quoted).join(', ')})`,
    `New-ApplicationAccessPolicy -AppId ${quoted(client)} -PolicyScopeGroupId $Group.PrimarySmtpAddress -AccessRight RestrictAccess -Description 'calendar-sync'`,
    ...mailboxes.map(
      (mailbox) => `Test-ApplicationAccessPolicy -AppId ${quoted(client)} -Identity ${quoted(mailbox)}   # Granted`,
    ),
    ...(control === null
      ? []
      : [`Test-ApplicationAccessPolicy -AppId ${quoted(client)} -Identity ${quoted(control)}   # Denied`]),
    '',
  ].join('\n');
}

function head({ cloud, directory }: ScriptSubject, about: string): string[] {
  const { exchange, graph } = environments[cloud.graph] ?? {};
  return [
    `# ${about}`,
    '# Needs the roles Organization Management in Exchange and Cloud Application Administrator in Entra.',
    '# Install-Module ExchangeOnlineManagement, Microsoft.Graph.Applications',
    "$ErrorActionPreference = 'Stop'",
    `Connect-MgGraph -NoWelcome -TenantId ${quoted(directory)} -Scopes 'Application.Read.All'${graph === undefined ? '' : ` -Environment ${graph}`}`,
    `Connect-ExchangeOnline -ShowBanner:$false${exchange === undefined ? '' : ` -ExchangeEnvironmentName ${exchange}`}`,
    '',
  ];
}

/** A PowerShell text in single quotes; PowerShell takes typographic ones for the same (U+2018 to U+201B). */
function quoted(text: string): string {
  return `'${text.replaceAll(/['\u2018-\u201b]/g, '$&$&')}'`;
}

/** What the administrator pasted back. */
export interface PastedResult {
  readonly directory: string;
  readonly client: string;
  readonly grants: readonly string[];
  readonly mailboxes: readonly { readonly address: string; readonly inScope: boolean }[];
  readonly control: { readonly address: string; readonly inScope: boolean } | null;
}

/** Reads the line that `grantScript` prints, wherever it stands in what was pasted; null: there is none, or it is broken. */
export function readPasted(text: string): PastedResult | null {
  const at = text.indexOf(resultMark);
  if (at < 0) return null;
  // Terminals wrap long lines.
  const encoded = /^[A-Za-z0-9+/=\s]*/.exec(text.slice(at + resultMark.length))?.[0].replaceAll(/\s/g, '') ?? '';
  try {
    const json: unknown = JSON.parse(Buffer.from(encoded, 'base64').toString('utf8'));
    if (!isRecord(json)) return null;
    const { directory, client, grants, mailboxes, control } = json;
    const places = (Array.isArray(mailboxes) ? mailboxes : [mailboxes]).map(readPlace);
    if (typeof directory !== 'string' || typeof client !== 'string' || places.includes(null)) return null;
    const known = places.filter((place) => place !== null);
    // ConvertTo-Json writes a list of one as the one, and an empty one as null.
    const names = (Array.isArray(grants) ? grants : [grants]).filter((grant) => typeof grant === 'string');
    return { directory, client, grants: names, mailboxes: known, control: readPlace(control) };
  } catch {
    return null;
  }
}

function readPlace(json: unknown): { address: string; inScope: boolean } | null {
  if (!isRecord(json) || typeof json['address'] !== 'string') return null;
  return { address: json['address'], inScope: json['inScope'] === true };
}

function isRecord(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
