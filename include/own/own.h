/* SPDX-License-Identifier: MIT */
/* own/own.h - all of libown */
#ifndef OWN_OWN_H
#define OWN_OWN_H

#include <own/base.h>
#include <own/access.h>
#include <own/type.h>
#include <own/handle.h>
#include <own/report.h>
#include <own/reclaim.h>
#include <own/cell.h>
#include <own/map.h>
#include <own/when.h>

#endif
