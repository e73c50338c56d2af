# mig_control: PGXS build. Sources live in the rooms of src/ (docs/architecture.md), the install script is
# concatenated from src/sql/NN_topic.sql.
EXTENSION    = mig_control
EXTVERSION   = $(shell sed -n "s/^default_version *= *'\(.*\)'/\1/p" $(srcdir)/mig_control.control)
MODULE_big   = mig_control
ROOMS        = base store compile sync pace backfill verify route control observe api

srcdir      ?= $(dir $(firstword $(MAKEFILE_LIST)))
SOURCES      = $(sort $(wildcard $(srcdir)/src/*.c $(foreach r,$(ROOMS),$(srcdir)/src/$(r)/*.c)))
OBJS         = $(patsubst $(srcdir)/%.c,%.o,$(SOURCES))
PG_CPPFLAGS  = -I$(srcdir)/src
PG_CFLAGS    = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers $(WERROR)

DATA_built   = mig_control--$(EXTVERSION).sql
EXTRA_CLEAN  = $(DATA_built) tmp_check tmp_check_iso output_iso results regression.diffs regression.out

REGRESS      = $(patsubst $(srcdir)/sql/%.sql,%,$(sort $(wildcard $(srcdir)/sql/*.sql)))
REGRESS_OPTS = --inputdir=$(srcdir) --no-locale --encoding=UTF8 --temp-instance=tmp_check --temp-config=$(srcdir)/test/test.conf --load-extension=mig_control
ISOLATION    = $(patsubst $(srcdir)/test/isolation/specs/%.spec,%,$(sort $(wildcard $(srcdir)/test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(srcdir)/test/isolation --outputdir=output_iso --temp-instance=tmp_check_iso --temp-config=$(srcdir)/test/isolation/isolation.conf --load-extension=mig_control
TAP_TESTS    = 1
PROVE_TESTS ?= $(sort $(wildcard test/t/*.pl))

PG_CONFIG   ?= pg_config
PGXS        := $(shell $(PG_CONFIG) --pgxs)
override with_llvm = no
include $(PGXS)

HEADERS_ALL  = $(wildcard $(srcdir)/src/*.h $(srcdir)/src/*/*.h)
$(OBJS): $(HEADERS_ALL)

$(DATA_built): $(sort $(wildcard $(srcdir)/src/sql/*.sql))
	cat $^ > $@
