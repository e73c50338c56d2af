/*
 * definition.h
 *		What the front ends share among themselves (definition.c, definition_updown.c). Others include operation.h.
 */
#ifndef MIG_DEFINITION_H
#define MIG_DEFINITION_H

#include "compile/json_node.h"
#include "compile/operation.h"

/* Append an operation to a definition; the caller fills in the rest. */
extern Operation *definition_add(Definition *definition, OperationKind kind, const char *path);

/* Wrap a parsed expression. */
extern RawExpr *raw_expr_make(Node *node, const char *source, const char *path);

/* Does an expression name a column? */
extern bool raw_expr_names(const RawExpr *expr, const char *column);

/* The offset of the first token at or after `offset`: behind spaces and comments */
extern int	source_skip(const char *source, int offset);

/* Attach the "up" and "down" of options to a DDL definition's operations. */
extern void definition_attach(Definition *definition, const char *options);

/* Refuse "up" and "down" in the options of a manifest. */
extern void definition_refuse_updown(const char *options);

#endif
