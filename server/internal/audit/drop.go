// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

package audit

import (
	"context"
	"errors"
)

// CancelAll ends every audit of a tenant. Their workers notice within moments.
func (e *Engine) CancelAll(ctx context.Context, tenant string) error {
	ids, err := e.ids(ctx, tenant)
	for _, id := range ids {
		if _, err := e.Cancel(ctx, tenant, id); err != nil && !errors.Is(err, ErrUnknown) {
			return err
		}
	}
	return err
}

// Drop takes out every audit of a tenant with all that was uploaded and found.
// None may be under way.
func (e *Engine) Drop(ctx context.Context, tenant string) error {
	ids, err := e.ids(ctx, tenant)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for _, kind := range []string{kindRows(id), kindPage(id), kindWork(id)} {
			if err := e.deleteAll(ctx, kind, tenant, nil); err != nil {
				return err
			}
		}
	}
	return e.deleteAll(ctx, kindAudit, tenant, nil)
}

func (e *Engine) ids(ctx context.Context, tenant string) (ids []string, err error) {
	for a, err := range e.list(ctx, tenant) {
		if err != nil {
			return ids, err
		}
		ids = append(ids, a.ID)
	}
	return ids, nil
}
