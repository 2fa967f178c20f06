// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package strength

// embedded is empty in the browser's engine, which is given its tables and
// reads them with Parse: a page fetches them beside the code.
var embedded []byte
