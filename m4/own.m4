dnl SPDX-License-Identifier: MIT

# OWN_PLATFORM
# Refuses by name what libown does not run on.
AC_DEFUN([OWN_PLATFORM], [
	AC_REQUIRE([AC_CANONICAL_HOST])
	AS_CASE([$host_os], [linux*], [],
		[AC_MSG_ERROR([libown needs Linux (futex, membarrier); this is $host_os])])
])

# OWN_64BIT
# Pointers carry flags and handles carry addresses: 64 bits only. By compiling,
# since -m32 and x32 do not show in the host's name.
AC_DEFUN([OWN_64BIT], [
	AC_CACHE_CHECK([for 64-bit pointers], [own_cv_64bit], [
		AC_COMPILE_IFELSE([AC_LANG_SOURCE(
			[[_Static_assert(sizeof(void *) == 8, "64 bits");]])],
			[own_cv_64bit=yes], [own_cv_64bit=no])])
	AS_IF([test "$own_cv_64bit" = no],
		[AC_MSG_ERROR([libown needs a 64-bit machine; $CC $CFLAGS builds 32-bit code on $host_cpu])])
])

# OWN_CXX
# Sets own_cxx: AC_PROG_CXX names a compiler even where there is none.
AC_DEFUN([OWN_CXX], [
	AC_LANG_PUSH([C++])
	AC_CACHE_CHECK([whether $CXX works], [own_cv_cxx], [
		AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <vector>]],
			[[std::vector<int> v(1); return v[0];]])],
			[own_cv_cxx=yes], [own_cv_cxx=no])])
	AC_LANG_POP([C++])
	own_cxx=$own_cv_cxx
	AM_CONDITIONAL([CXX_WORKS], [test "$own_cxx" = yes])
])

# OWN_ENABLE(NAME, HELP, CPPFLAGS)
# --enable-NAME, off by default: sets enable_NAME to yes or no, adds CPPFLAGS
# and sets the conditional of that name in capitals.
AC_DEFUN([OWN_ENABLE], [
	AC_ARG_ENABLE([$1], [AS_HELP_STRING([--enable-$1], m4_normalize([$2]))])
	AS_IF([test "$AS_TR_SH([enable_$1])" = yes],
		[OWN_CPPFLAGS="$OWN_CPPFLAGS $3"],
		[AS_TR_SH([enable_$1])=no])
	AM_CONDITIONAL(m4_translit([$1], [a-z-], [A-Z_]),
		[test "$AS_TR_SH([enable_$1])" = yes])
])

# OWN_SANITIZER
# --with-sanitizer=address|thread|undefined for the whole tree. Address brings
# undefined with it. Under thread our own accesses are instrumented, so the
# annotations that public headers carry for user programs are left out.
AC_DEFUN([OWN_SANITIZER], [
	AC_ARG_WITH([sanitizer], [AS_HELP_STRING([--with-sanitizer=NAME],
		[address (with undefined), thread, or undefined])])
	own_sanitizer=${with_sanitizer:-no}
	AS_CASE([$own_sanitizer],
		[no], [own_san=],
		[address], [own_san=-fsanitize=address,undefined],
		[thread], [own_san=-fsanitize=thread
			OWN_CPPFLAGS="$OWN_CPPFLAGS -DOWN__INSTRUMENTED"],
		[undefined], [own_san=-fsanitize=undefined],
		[AC_MSG_ERROR([--with-sanitizer=$own_sanitizer: know address, thread and undefined])])
	AS_IF([test -n "$own_san"], [
		OWN_SANITIZE="$own_san -fno-omit-frame-pointer"
		AS_CASE([$own_san], [*undefined*],
			[OWN_SANITIZE="$OWN_SANITIZE -fno-sanitize-recover=undefined"])
		own_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $OWN_SANITIZE"
		AC_MSG_CHECKING([whether $CC links with $own_san])
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])],
			[AC_MSG_RESULT([yes])],
			[AC_MSG_RESULT([no])
			AC_MSG_ERROR([$CC has no runtime for $own_san])])
		CFLAGS=$own_save_CFLAGS
	])
	AC_SUBST([OWN_SANITIZE])
])

# OWN_WARNINGS
# Sets OWN_CWARN and OWN_CXXWARN to those warnings that the compilers know.
AC_DEFUN([OWN_WARNINGS], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror],
		[warnings are errors])])
	OWN_CWARN=
	m4_foreach_w([own_flag], [-Wall -Wextra -Wcast-qual -Wformat=2
		-Wmissing-prototypes -Wold-style-definition
		-Wpointer-arith -Wshadow -Wstrict-prototypes -Wundef
		-Wwrite-strings -Wvla -Wthread-safety],
		[OWN_CHECK_FLAG(own_flag)])
	AS_IF([test "$enable_werror" = yes], [OWN_CWARN="$OWN_CWARN -Werror"])
	OWN_CXXWARN="-Wall -Wextra"
	AS_IF([test "$enable_werror" = yes], [OWN_CXXWARN="$OWN_CXXWARN -Werror"])
	AC_SUBST([OWN_CWARN])
	AC_SUBST([OWN_CXXWARN])
])

# OWN_CHECK_FLAG(FLAG)
# Adds FLAG to OWN_CWARN if the C compiler knows it.
AC_DEFUN([OWN_CHECK_FLAG], [
	AS_VAR_PUSHDEF([known], [own_cv_flag_$1])
	AC_CACHE_CHECK([whether $CC knows $1], [known], [
		own_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $1"
		AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
			[AS_VAR_SET([known], [yes])],
			[AS_VAR_SET([known], [no])])
		CFLAGS=$own_save_CFLAGS])
	AS_VAR_IF([known], [yes], [OWN_CWARN="$OWN_CWARN $1"])
	AS_VAR_POPDEF([known])
])

# OWN_PART(NAME, PREFIX, MODULES, PACKAGES)
# A part of the tree that is built if its libraries are there. --enable-NAME
# insists, --disable-NAME does without. Sets own_part_NAME to yes, or to no and
# the reason; the conditional is NAME in capitals.
AC_DEFUN([OWN_PART], [
	AC_ARG_ENABLE([$1], [AS_HELP_STRING([--disable-$1],
		[leave $1 out even if what it needs is there])])
	AS_IF([test "$enable_$1" = no], [own_part_$1="no (--disable-$1)"], [
		PKG_CHECK_MODULES([$2], [$3], [own_part_$1=yes],
			[own_part_$1="no (needs $3; Debian: $4)"])
		AS_IF([test "$enable_$1:$own_part_$1" != yes:yes &&
				test "$enable_$1" = yes],
			[AC_MSG_ERROR([--enable-$1: $own_part_$1])])
	])
	m4_if([$1], [bench], [],
		[AM_CONDITIONAL(m4_toupper([$1]), [test "$own_part_$1" = yes])])
])
