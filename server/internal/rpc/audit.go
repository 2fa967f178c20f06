// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package rpc

import watchwordv1 "github.com/watchword-project/watchword/api/watchword/v1"

type auditService struct {
	watchwordv1.UnimplementedAuditServiceServer
}
