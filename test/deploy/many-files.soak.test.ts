import { shipsFiles } from './many-files.js';

shipsFiles(20_000);
