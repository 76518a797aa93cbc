import { ApiClient } from '../../api/client.js';
import { upload } from '../../api/upload.js';
import { tellMemory } from '../support/memory.js';

/** Uploads one large file as the command line does. */
const client = new ApiClient(process.env['API']!, process.env['TOKEN']!);
const what = { model: 'large', kind: 'weights', file: process.env['FILE']!, date: '20260131' } as const;
await tellMemory(async () => (await upload(client, what)).bytes);
