/** Texts made from the table of variables: `.env.template`, and the part of docs/configuration.md between its marks. */
import { VARIABLES } from '../../src/config/variables.ts';

export function renderEnvTemplate(): string {
  const head = `# Settings of calendar-sync. Copy to .env and fill in what you need: every one has a default.
# The environment wins over this file. Secrets may also be kept in files: API_KEY_FILE=/run/secrets/api_key
`;
  const blocks = Object.values(VARIABLES).map(
    ({ name, about, initial }) =>
      `${wrap(about)
        .map((line) => `# ${line}\n`)
        .join('')}#${name}=${initial}\n`,
  );
  return [head, ...blocks].join('\n');
}

export function renderVariableList(): string {
  return Object.values(VARIABLES)
    .map(({ name, about, initial, isSecret }) => {
      const names = isSecret ? `\`${name}\`, \`${name}_FILE\`` : `\`${name}\``;
      return `- ${names}${initial === '' ? '' : ` (\`${initial}\`)`}: ${about}`;
    })
    .join('\n');
}

function wrap(text: string): string[] {
  const lines = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line !== '' && line.length + word.length > 115) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
