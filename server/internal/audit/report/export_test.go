// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package report

// Texts are the words of a page and of what findings rest on.
var Texts = []map[string][2]string{words, classes}
