import { shipsFiles } from './many-files.js';

shipsFiles(5_000);
