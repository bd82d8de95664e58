/** A Microsoft cloud as data (Graph docs, national cloud deployments). Hosts are origins without trailing slash. */
export interface Cloud {
  readonly id: string;
  readonly login: string;
  readonly graph: string;
  readonly portal: string | null;
}

/**
 * The clouds that need no configuration. GCC lives on the hosts of the commercial cloud; GCC High and DoD share a login
 * host but not a Graph host. Source: Graph docs, `deployments.md`; for China's login host Entra's
 * `authentication-national-cloud.md`.
 */
export const builtInClouds: readonly Cloud[] = [
  {
    id: 'global',
    login: 'https://login.microsoftonline.com',
    graph: 'https://graph.microsoft.com',
    portal: 'https://portal.azure.com',
  },
  {
    id: 'gcc',
    login: 'https://login.microsoftonline.com',
    graph: 'https://graph.microsoft.com',
    portal: 'https://portal.azure.com',
  },
  {
    id: 'gcch',
    login: 'https://login.microsoftonline.us',
    graph: 'https://graph.microsoft.us',
    portal: 'https://portal.azure.us',
  },
  {
    id: 'dod',
    login: 'https://login.microsoftonline.us',
    graph: 'https://dod-graph.microsoft.us',
    portal: 'https://portal.azure.us',
  },
  {
    id: 'china',
    login: 'https://login.partner.microsoftonline.cn',
    graph: 'https://microsoftgraph.chinacloudapi.cn',
    portal: 'https://portal.azure.cn',
  },
];
