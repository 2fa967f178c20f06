// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

/** What is known of the person, and could be guessed. Used for the answer and never kept. */
export interface Context {
  login?: string;
  emails?: readonly string[];
  names?: readonly string[];
  phones?: readonly string[];
  /** YYYY-MM-DD */
  birthDate?: string;
  /** Names of the service, the organisation, the product. */
  words?: readonly string[];
}

export type Locale = "en" | "zh-CN";
export type Use = "USE_SINGLE_FACTOR" | "USE_MULTI_FACTOR";
export type Purpose = "PURPOSE_SIGNUP" | "PURPOSE_CHANGE" | "PURPOSE_RESET" | "PURPOSE_LOGIN";

export interface CheckOptions {
  context?: Context;
  /** The password before this one, where the rules compare with it. */
  previousPassword?: string;
  use?: Use;
  purpose?: Purpose;
  /** Language of messages and advice; default "en". */
  locale?: Locale;
}

/** A part of the password by kind and place; never its text. */
export interface Segment {
  kind: `SEGMENT_KIND_${string}`;
  /** In code points of the NFC form, as the service counts; end is one past the last. */
  start: number;
  end: number;
  /** In UTF-16 units of the string that was checked: password.slice(from, to). */
  from: number;
  to: number;
}

export interface Violation {
  /** A stable name, such as LENGTH_MIN. */
  rule: string;
  /** The clauses of the standards that ask for the rule. */
  clauses: string[];
  /** A sentence in the locale. */
  message: string;
  params: Record<string, string>;
  segments: Segment[];
}

/** What CheckPassword answers, as far as it can be told without the service. */
export interface Verdict {
  decision: "DECISION_ACCEPT" | "DECISION_REJECT";
  violations: Violation[];
  /** Sentences on what to do, in the locale. */
  advice: string[];
  strength: {
    guessesLog10: number;
    /** 0 below 10^4 guesses, 1 below 10^6, 2 below 10^8, 3 below 10^10, else 4. */
    score: 0 | 1 | 2 | 3 | 4;
    segments: Segment[];
  };
  policy: string;
  policyVersion: string;
  /** Rules that the service alone can decide: it may still refuse what was accepted here. */
  pending: string[];
}

/** What DescribePolicy answers. */
export interface Description {
  policy: string;
  version: string;
  text: string[];
  /** For the passwordrules attribute of an input. */
  passwordRules: string;
  form: Record<string, unknown>;
}

/** What GetPolicy answers; further fields are left alone. For a built-in policy yaml may be missing. */
export interface PolicyAnswer {
  policy: string;
  version?: string;
  yaml?: string;
}

export interface Policy {
  readonly name: string;
  readonly version: string;
  readonly released: boolean;
  check(password: string, options?: CheckOptions): Verdict;
  describe(options?: { use?: Use; locale?: Locale }): Description;
  /** Makes room for another policy; this one is not to be used again. */
  release(): void;
}

export interface Engine {
  /** Of the package. */
  readonly version: string;
  /** SHA-256 over the digests of the engine's files: equal ids judge alike. */
  readonly id: string;
  /** Names of the built-in policies. */
  readonly policies: readonly string[];
  /**
   * Takes the name of a built-in policy, or what GetPolicy answered; policies of
   * your own that it extends go before it, the eldest first. Throws POLICY_STALE
   * if the engine comes to another version of the rules than the service.
   */
  policy(...answers: (string | PolicyAnswer)[]): Policy;
  /** Judges a password. The policy is nist-800-63b-4 unless said otherwise. */
  check(password: string, options?: CheckOptions & { policy?: string | Policy | PolicyAnswer }): Verdict;
  describePolicy(policy?: string | Policy | PolicyAnswer, options?: { use?: Use; locale?: Locale }): Description;
  passwordRules(policy?: string | Policy | PolicyAnswer, options?: { use?: Use; locale?: Locale }): string;
}

export interface LoadOptions {
  /** Where the files are, if not beside this module. */
  base?: string | URL;
  /** false leaves the list of common passwords out (1.2 MB), and the rule BLOCKLISTED to the service. */
  list?: boolean;
  /** The id the engine must have, for pages that know which their service has. */
  expect?: string;
}

/** Fetches and verifies the engine's files, and starts it. */
export function load(options?: LoadOptions): Promise<Engine>;

/** Whether a password is listed, or a near variant is. */
export interface PrivateResult {
  found: boolean;
  similar: boolean;
}

export interface PrivateList {
  readonly version: string;
  /** Asks the list. Throws PRIVATE_ANSWER for an answer that is not the list's: nothing is known then. */
  check(password: string): Promise<PrivateResult>;
}

export interface PrivateOptions {
  /** Where the files are, if not beside this module. */
  base?: string | URL;
  /** The list's version, 64 hexadecimal digits, as its keeper gave it out: part of the page, never an answer of the service. */
  version: string;
  /** Sends a body to a path of the service, best through your own back end, which has the key; gives the parsed answer. */
  post(path: string, body: string): Promise<unknown>;
}

/** Fetches and verifies the module for private checks, which the engine does without, and the header of the list. */
export function loadPrivate(options: PrivateOptions): Promise<PrivateList>;

export type Reason =
  | "PRIVATE_ANSWER"
  | "ENGINE_UNAVAILABLE"
  | "ENGINE_UNVERIFIED"
  | "ENGINE_DIGEST"
  | "ENGINE_STALE"
  | "ENGINE_FAILED"
  | "MALFORMED_REQUEST"
  | "PASSWORD_EMPTY"
  | "PASSWORD_NOT_TEXT"
  | "PASSWORD_CONTROL"
  | "PASSWORD_TOO_LARGE"
  | "POLICY_UNKNOWN"
  | "POLICY_MALFORMED"
  | "POLICY_NOT_WHOLE"
  | "POLICY_STALE"
  | "POLICIES_EXHAUSTED"
  | "INTERNAL";

/** Why there is no engine, or no verdict. Its text never holds any of the input. */
export class WatchwordError extends Error {
  readonly reason: Reason;
}
