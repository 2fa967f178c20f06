// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

#include "textflag.h"

// func Load()
TEXT ·Load(SB), NOSPLIT, $0-0
	LFENCE
	RET
