// A clock that can be made to fail, to see where failures of ours end.
import { ManualClock } from '../../helpers/manual-clock.ts';

export class BreakableClock extends ManualClock {
  isBroken = false;

  override monotonicMillis(): number {
    if (this.isBroken) throw new Error('no time');
    return super.monotonicMillis();
  }
}
