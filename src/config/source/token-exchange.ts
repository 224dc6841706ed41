// sources.NAME.token_exchange
import * as z from 'zod';
import { parseInjectedHeader } from '../header.ts';
import { refuse } from '../invalid.ts';
import { exactlyOne, filePath, oneOfKeys, parsed } from '../schema-values.ts';
import { sourceKind } from './kind.ts';
import { type OAuthClientConfig, oauthClient } from './oauth-client.ts';
import { type TokenParametersConfig, tokenParameterKeys, toTokenParameters } from './token-parameters.ts';

/** RFC 8693: a token of whoever the request is made for becomes one for the upstream. */
export interface TokenExchangeConfig extends OAuthClientConfig, TokenParametersConfig {
  readonly type: 'token_exchange';
  readonly subjectToken: TokenPlace;
  /** URI of RFC 8693 section 3. */
  readonly subjectTokenType: string;
  readonly actorToken: TokenPlace | undefined;
  readonly actorTokenType: string;
  readonly requestedTokenType: string | undefined;
  /** undefined = the subject token stands in a file, so its credential is everybody's. */
  readonly subject: SubjectHeaders | undefined;
}

/** Where a token comes from: the request itself, or a file that somebody else renews. */
export type TokenPlace =
  | { readonly from: 'header'; readonly name: string }
  | { readonly from: 'file'; readonly path: string };

/** Headers of a request that say for whom its credential is; lower case. Never sent on to the upstream. */
export interface SubjectHeaders {
  readonly token: string;
  readonly actor: string | undefined;
}

const TOKEN_TYPES = ['access_token', 'refresh_token', 'id_token', 'saml1', 'saml2', 'jwt'];

/** The last word of RFC 8693's own URIs, or any other URI. */
function parseTokenType(text: string): string {
  if (TOKEN_TYPES.includes(text)) return `urn:ietf:params:oauth:token-type:${text}`;
  if (URL.canParse(text)) return text;
  return refuse(`expected one of ${TOKEN_TYPES.join(', ')}, or the URI of another token type, got "${text}"`);
}

const tokenType = parsed(z.string(), parseTokenType);

const tokenPlace = z
  .strictObject({
    header: parsed(z.string(), parseInjectedHeader)
      .optional()
      .describe('Header of the request, with "Bearer " before the token or without. Never sent on.'),
    file: filePath
      .optional()
      .describe('File with the token; read again when it changes. Relative: to this file.'),
  })
  .check(exactlyOne('header', 'file'))
  .meta(oneOfKeys('header', 'file'));

type Place = z.output<typeof tokenPlace>;

function toPlace({ header, file }: Place, path: (relative: string) => string): TokenPlace {
  return header === undefined ? { from: 'file', path: path(file!) } : { from: 'header', name: header };
}

const nameOf = (place: TokenPlace | undefined) => (place?.from === 'header' ? place.name : undefined);

export const tokenExchange = sourceKind({
  schema: z
    .strictObject({
      ...oauthClient.keys,
      subject_token: tokenPlace
        .prefault({ header: 'authorization' })
        .describe(
          'The token that is exchanged: { header } of the request or { file }. Default { header: authorization }.',
        ),
      subject_token_type: tokenType
        .prefault('access_token')
        .describe('access_token, id_token, refresh_token, jwt, saml1, saml2 or a URI. Default access_token.'),
      actor_token: tokenPlace.optional().describe('Token of who acts for the subject. Default: none.'),
      actor_token_type: tokenType
        .prefault('access_token')
        .describe('As subject_token_type. Default access_token.'),
      requested_token_type: tokenType
        .optional()
        .describe('As subject_token_type. Default: the provider’s choice.'),
      ...tokenParameterKeys,
    })
    .check(oauthClient.check)
    .check(({ value, issues }) => {
      const { subject_token: subject, actor_token: actor } = value;
      if (subject.file !== undefined && actor?.header !== undefined) {
        issues.push({
          code: 'custom',
          message:
            'an actor of the request needs a subject of the request: one token in a file is everybody’s',
          path: ['actor_token', 'header'],
          input: value,
        });
      } else if (actor?.header !== undefined && actor.header === subject.header) {
        issues.push({
          code: 'custom',
          message: `${actor.header} is the header of the subject token already`,
          path: ['actor_token', 'header'],
          input: value,
        });
      }
    })
    .meta({
      description: 'OAuth 2.0 token exchange (RFC 8693). Exactly one of issuer and token_endpoint.',
      ...oauthClient.meta,
    }),
  toConfig: (value, path): TokenExchangeConfig => {
    const subjectToken = toPlace(value.subject_token, path);
    const actorToken = value.actor_token && toPlace(value.actor_token, path);
    const token = nameOf(subjectToken);
    return {
      type: 'token_exchange',
      ...oauthClient.toConfig(value, path),
      ...toTokenParameters(value),
      subjectToken,
      subjectTokenType: value.subject_token_type,
      actorToken,
      actorTokenType: value.actor_token_type,
      requestedTokenType: value.requested_token_type,
      subject: token === undefined ? undefined : { token, actor: nameOf(actorToken) },
    };
  },
  renewable: true,
  providerUrls: oauthClient.urls,
});
