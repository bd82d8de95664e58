import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import type { Model } from '../../src/config/model.ts';
import { renderYaml } from '../../src/config/render-yaml.ts';
import { parseModel } from '../../src/config/yaml.ts';
import { selfSigned } from '../support/graph/self-signed.ts';

const root = join(import.meta.dirname, '../..');
const agency = selfSigned();
const secrets: Record<string, string> = {
  CONTOSO_SECRET: 'hunter2-contoso',
  AGENCY_CERTIFICATE: pem('agency.pem'),
  AGENCY_PRIVATE_KEY: pem('agency.key'),
  ME_PASSWORD: 'hunter2-baikal',
  BAIKAL_PASSWORD: 'hunter2-baikal',
  ICLOUD_HOME_PASSWORD: 'hunter2-icloud',
  ICLOUD_PASSWORD: 'hunter2-icloud',
  HOLIDAYS_URL: 'https://feeds.example/holidays.ics',
  OLD_FLOW_KEY: 'hunter2-hunter2-flow',
  FLOW_KEY: 'hunter2-hunter2-flow',
};

describe('an exported configuration', () => {
  const model = parse(readFileSync(join(root, 'calendars.example.yaml'), 'utf8'));
  const text = renderYaml(model);

  it('is read back as the same configuration', () => {
    expect(parse(text)).toEqual(model);
  });

  it('names the variables for its secrets and holds none of them', () => {
    expect(text.split('\n\n')[0]).toBe(
      [
        '# Set in the environment or in .env before this is applied:',
        '#   CONTOSO_SECRET',
        '#   AGENCY_CERTIFICATE',
        '#   AGENCY_PRIVATE_KEY',
        '#   ME_PASSWORD',
        '#   ICLOUD_HOME_PASSWORD',
        '#   HOLIDAYS_URL',
        '#   OLD_FLOW_KEY',
      ].join('\n'),
    );
    expect(text).not.toMatch(/hunter2|BEGIN/);
  });

  it('leaves out what equals its default, but always says privacy', () => {
    const source = text.slice(text.indexOf('- id: icloud-home'), text.indexOf('- id: holidays'));
    expect(
      source
        .trimEnd()
        .split('\n')
        .map((line) => line.trim()),
    ).toEqual([
      '- id: icloud-home',
      'kind: caldav',
      'url: https://caldav.icloud.com/',
      'username: me@icloud.example',
      'password: ${ICLOUD_HOME_PASSWORD}',
      'calendar: Home',
      'into: me/home',
      'privacy: full',
      'filters:',
      'free: hide',
      'titles:',
      '- ^birthday',
      'hours:',
      'zone: Europe/Berlin',
      'from: 07:00',
      'to: 22:00',
    ]);
  });
});

function pem(name: string): string {
  return name.endsWith('.key') ? agency.privateKey : agency.certificate;
}

function parse(text: string): Model {
  return parseModel(text, { file: 'calendars.yaml', lookUp: (name) => secrets[name], readText: pem });
}
