/**
 * The Microsoft clouds as data: origins of login and Graph (Graph docs `deployments.md`, Entra docs
 * `authentication-national-cloud.md`). China has a second login host that MSAL treats as an alias.
 */
export interface SimulatedCloud {
  readonly id: string;
  readonly login: string;
  /** Other origins that answer as this login host does. */
  readonly loginAliases: readonly string[];
  readonly graph: string;
}

export const microsoftClouds: readonly SimulatedCloud[] = [
  {
    id: 'global',
    login: 'https://login.microsoftonline.com',
    loginAliases: ['https://login.windows.net', 'https://sts.windows.net'],
    graph: 'https://graph.microsoft.com',
  },
  { id: 'gcch', login: 'https://login.microsoftonline.us', loginAliases: [], graph: 'https://graph.microsoft.us' },
  // GCC High and DoD share the login host, not the Graph host.
  { id: 'dod', login: 'https://login.microsoftonline.us', loginAliases: [], graph: 'https://dod-graph.microsoft.us' },
  {
    id: 'china',
    login: 'https://login.partner.microsoftonline.cn',
    loginAliases: ['https://login.chinacloudapi.cn'],
    graph: 'https://microsoftgraph.chinacloudapi.cn',
  },
];
