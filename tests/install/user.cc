/* SPDX-License-Identifier: MIT */
/* user.cc - the public headers are C++11 too: an outside program in it */
#include <own/own.h>

#include <cstdio>

namespace {

struct limits {
	int connections;
};

const struct own_type limits_type = {
	"limits", sizeof(struct limits), 0, nullptr, nullptr, 0,
};

int
set(struct own_cell *cell, int connections)
{
	struct own_unique u = {};
	int r = own_cell_claim(cell, &u);

	if (r)
		return r;
	static_cast<struct limits *>(own_unique_edit(&u))->connections =
			connections;
	own_unique_commit(&u);
	return 0;
}

int
get(struct own_cell *cell, int *ret)
{
	own_scoped(own_shared) s = {};
	int r = own_cell_share(cell, &s);

	if (r)
		return r;
	*ret = static_cast<const struct limits *>(own_shared_get(&s))
			->connections;
	return 0;
}

} // namespace

int
main()
{
	struct own_cell cell;
	struct own_unique first = {};
	int seen = 0;
	int r = own_new(&limits_type, &first);

	if (!r)
		r = own_cell_init(&cell, &limits_type, OWN_VERSIONED, "limits",
				&first);
	if (!r)
		r = set(&cell, 42);
	if (!r)
		r = get(&cell, &seen);
	if (r || seen != 42) {
		std::fprintf(stderr, "r %d, seen %d\n", r, seen);
		return 1;
	}
	own_cell_destroy(&cell);
	return 0;
}
