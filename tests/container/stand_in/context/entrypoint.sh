#!/bin/sh
# Amazon's starts the driver or an executor under its log collectors; this one only runs what it is given.
exec tini -- "$@"
