import { blueGreen } from './strategies.js';
import { underTraffic } from './under-traffic.js';

underTraffic(blueGreen);
