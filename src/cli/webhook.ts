// bearerd webhook: puts the sidecar into pods as they are created.
import { parseTcpOnly } from '../config/listen-address.ts';
import { loadSidecarFile } from '../config/sidecar-file.ts';
import { NotAnAdmissionReview, reviewAdmission } from '../kubernetes/admission.ts';
import { systemClock } from '../lib/clock.ts';
import { type AdmissionAnswer, createAdmissionServer } from '../server/admission-server.ts';
import { createLogObserver } from '../telemetry/log-observer.ts';
import { createLogger } from '../telemetry/logger.ts';
import { parseArguments, refusePositionals, required } from './arguments.ts';
import { type Command, UsageError } from './command.ts';

export const webhook: Command = {
  help: `Usage: bearerd webhook --sidecar FILE --certificate FILE --private-key FILE [--listen ADDRESS]

A mutating admission webhook for Kubernetes: POST /inject puts bearerd into pods, before istio-proxy, once, whatever other
webhooks did before or do after. "bearerd generate kubernetes" writes its manifests. A pod with the label
bearerd.io/inject: "false" stays as it is; bearerd.io/config on a pod names another ConfigMap. What was done stands in the
annotation bearerd.io/status.

Options:
  --sidecar FILE       how the sidecar is put into pods: image, image_pull_secrets, config_map, secret, token_audience,
                       run_as_user, status_port, resources
  --certificate FILE   PEM chain for the name of the service; taken over when it changes
  --private-key FILE   PEM
  --listen ADDRESS     default 0.0.0.0:9443

Example:
  bearerd webhook --sidecar sidecar.yaml --certificate tls.crt --private-key tls.key

Exit code 0 = ended as asked, 1 = a file has problems or the address cannot be had.
`,
  async run(args, { out, err, ended }) {
    const parsed = parseArguments(args, ['sidecar', 'certificate', 'private-key', 'listen']);
    refusePositionals(parsed);
    const options = await loadSidecarFile(required(parsed, 'sidecar'));
    const observer = createLogObserver(createLogger({ level: 'info' }, { write: out }), systemClock);
    const answer = (body: string): AdmissionAnswer => {
      try {
        return { status: 200, body: JSON.stringify(reviewAdmission(body, options)) };
      } catch (error) {
        if (!(error instanceof NotAnAdmissionReview)) throw error;
        return { status: 400, body: `${error.message}\n` };
      }
    };
    try {
      const server = await createAdmissionServer(
        {
          address: parseTcpOnly(parsed.flags['listen'] ?? '0.0.0.0:9443'),
          files: {
            certificate: required(parsed, 'certificate'),
            privateKey: required(parsed, 'private-key'),
          },
          observer,
          clock: systemClock,
        },
        answer,
      );
      await server.start();
      if (!ended.aborted) {
        await new Promise((resolve) => ended.addEventListener('abort', resolve, { once: true }));
      }
      await server.stop();
      return 0;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      err(`bearerd: cannot start: ${(error as Error).message}\n`);
      return 1;
    }
  },
};
