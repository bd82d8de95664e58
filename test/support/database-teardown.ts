export { tearDown as default } from './database-setup.ts';
