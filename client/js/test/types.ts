// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Compiled, never run: the calls of the README, and some that must not compile.

import { load, loadPrivate, WatchwordError, type Verdict } from "../index.js";

const engine = await load({ list: true, expect: "00" });
const verdict: Verdict = engine.check("x", { policy: "cis", use: "USE_MULTI_FACTOR", locale: "zh-CN", context: { login: "a", birthDate: "2000-01-01" } });
const part: string = "x".slice(verdict.strength.segments[0]!.from, verdict.strength.segments[0]!.to);
engine.policy({ policy: "a", yaml: "rules: {}" }, { policy: "b", version: "1.0", yaml: "" }).check(part).violations.map((v) => v.message);
document.createElement("input").setAttribute("passwordrules", engine.passwordRules("cis", { use: "USE_SINGLE_FACTOR" }));
(await (await loadPrivate({ version: "00", post: async () => ({}) })).check("x")).found satisfies boolean;
// @ts-expect-error there is no list by default
await loadPrivate({ post: async () => ({}) });
new WatchwordError().reason satisfies string;

// @ts-expect-error a password is text
engine.check(5);
// @ts-expect-error no such use
engine.check("x", { use: "BOTH" });
// @ts-expect-error verdicts are not of three kinds
verdict.decision === "DECISION_MAYBE";
