#!/bin/sh
# The bucket, in MinIO. The login goes by a variable, not by the command line.
set -eu

export MC_HOST_store="${MINIO_URL%%://*}://${MINIO_ROOT_USER}:${MINIO_ROOT_PASSWORD}@${MINIO_URL#*://}"
mc mb --ignore-existing "store/${MINIO_BUCKET}"
