#!/bin/bash
# A tick each minute, from EventBridge into the worker's queue.
set -euo pipefail

queue=${RESPALDO_QUEUE:?}

url=$(awslocal sqs get-queue-url --queue-name "$queue" --query QueueUrl --output text)
arn=$(awslocal sqs get-queue-attributes --queue-url "$url" --attribute-names QueueArn \
  --query Attributes.QueueArn --output text)
awslocal events put-rule --name respaldo-tick --schedule-expression 'rate(1 minute)' > /dev/null
failed=$(awslocal events put-targets --rule respaldo-tick --targets "Id=worker,Arn=$arn" \
  --query FailedEntryCount --output text)
[[ $failed == 0 ]]
echo "respaldo-tick rings $queue each minute"
