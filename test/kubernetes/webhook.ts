import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { selfSigned } from '../support/certificates.js';
import type { Berth } from './berth.js';
import { closed, listening } from './listening.js';

/** A real webhook on this machine's loopback, where the apiserver is as well, that denies every Deployment of the berth. */
export async function denyingWebhook(berth: Berth, text: string): Promise<{ close: () => Promise<void> }> {
  const { key, certificate } = await selfSigned('IP:127.0.0.1');
  const server = await listening(
    createServer({ key, cert: certificate }, (request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += String(chunk)));
      request.on('end', () => {
        const { request: review } = JSON.parse(body) as { request: { uid: string } };
        const answer = { uid: review.uid, allowed: false, status: { message: text } };
        response.setHeader('content-type', 'application/json');
        response.end(
          JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response: answer }),
        );
      });
    }),
  );
  const { port } = server.address() as AddressInfo;
  await berth.apply({
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: berth.name },
    webhooks: [
      {
        name: 'no.slipway.test',
        admissionReviewVersions: ['v1'],
        sideEffects: 'None',
        clientConfig: {
          url: `https://127.0.0.1:${port}/`,
          caBundle: Buffer.from(certificate).toString('base64'),
        },
        rules: [
          { apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] },
        ],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': berth.name } },
      },
    ],
  });
  return {
    close: async () => {
      await berth.kubectl('delete', 'validatingwebhookconfiguration', berth.name);
      await closed(server);
    },
  };
}
