#!/bin/sh
echo "nightly report, edition 1"
echo "4211 rows read"
